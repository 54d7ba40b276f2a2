//! Cases that come out otherwise here, on purpose. Each says in its `here` why, and what comes out in place
//! of what is published; one that comes out as published fails the test, as does one that comes out in a third
//! way.

use serde::Deserialize as _;
use serde_json::Value;

use crate::case::{Case, Here, Outcome};
use crate::run::run;

/// Whether a case comes out as its `here` says.
pub(crate) fn check(published: &Value, case: &Case, here: &Here) -> Result<(), String> {
    let Err(why) = run(case) else {
        let why = &here.why;
        return Err(format!(
            "comes out as published, though it is a departure: {why}"
        ));
    };
    match &here.outcome {
        Outcome::NoWay(wanted) if *wanted == why => Ok(()),
        Outcome::NoWay(wanted) => Err(format!("there should be no way: {wanted}. But: {why}")),
        Outcome::Instead(over) => {
            let mut value = published.clone();
            lay(&mut value, over)?;
            let case = Case::deserialize(&value).map_err(|error| error.to_string())?;
            run(&case).map_err(|why| format!("as it should be here: {why}"))
        }
    }
}

/// Lays something over a value, as a JSON merge patch (RFC 7396) does; an object over a list has places in
/// the list as the names of its fields.
fn lay(value: &mut Value, over: &Value) -> Result<(), String> {
    match (value, over) {
        (Value::Object(fields), Value::Object(over)) => {
            for (name, over) in over {
                if over.is_null() {
                    let had = fields.remove(name);
                    had.ok_or_else(|| format!("there is no {name} to be taken away"))?;
                } else {
                    let field = fields.entry(name.clone()).or_insert(Value::Null);
                    lay(field, over)?;
                }
            }
        }
        (Value::Array(list), Value::Object(over)) => {
            for (at, over) in over {
                let at: Option<usize> = at.parse().ok();
                let element = at.and_then(|at| list.get_mut(at));
                lay(element.ok_or_else(|| format!("no place for {over}"))?, over)?;
            }
        }
        (value, over) => *value = over.clone(),
    }
    Ok(())
}

//! The functions that cases name.

use std::collections::BTreeSet;

use crate::value::Dyn;

type Build<F> = Result<Box<F>, String>;

pub(crate) type Condition = dyn Fn(&Dyn, &Dyn) -> bool + Send + Sync;
pub(crate) type Pair = dyn Fn(Dyn, Dyn) -> (Dyn, Dyn) + Send + Sync;
pub(crate) type Pairs = dyn Fn(Dyn, Dyn) -> Vec<(Dyn, Dyn)> + Send + Sync;
pub(crate) type OfPair = dyn Fn(&Dyn, &Dyn) -> Dyn + Send + Sync;
pub(crate) type Two = dyn Fn(Dyn, Dyn) -> Dyn + Send + Sync;

fn unknown<F: ?Sized>(kind: &str, name: &str) -> Build<F> {
    Err(format!("no {kind} {name:?}"))
}

/// A name with its parameter.
fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or((name, ""))
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn nth_char(value: &Dyn, at: usize) -> Option<char> {
    value.print().chars().nth(at)
}

fn distance(value: &Dyn, from: char) -> Dyn {
    let first = nth_char(value, 0);
    first.map_or(Dyn::Null, |c| Dyn::Int(c as i64 - from as i64))
}

fn length(value: &Dyn) -> i64 {
    value.print().chars().count() as i64
}

fn name_of(number: &Dyn) -> Dyn {
    match number {
        Dyn::Int(1) => Dyn::text("ONE"),
        Dyn::Int(2) => Dyn::text("TWO"),
        Dyn::Int(3) => Dyn::text("THREE"),
        _ => Dyn::Null,
    }
}

/// `fn` of filters and branches.
pub(crate) fn condition(name: &str) -> Build<Condition> {
    let (name, parameter) = split(name);
    Ok(match name {
        "all" | "always" => Box::new(|_, _| true),
        "value_even" => Box::new(|_, value| value.int().is_some_and(|n| n % 2 == 0)),
        "value_not_null" => Box::new(|_, value| *value != Dyn::Null),
        "key_eq" => {
            let wanted = parameter.to_owned();
            Box::new(move |key, _| key.print() == wanted)
        }
        "value_eq" => {
            let wanted = parameter.to_owned();
            Box::new(move |_, value| value.print() == wanted)
        }
        "key_lt" | "value_gt" | "value_lt" | "value_len_gt" | "key_multiple_of" => {
            let (name, bound) = (name.to_owned(), number(parameter)?);
            Box::new(move |key, value| match name.as_str() {
                "key_lt" => key.int().is_some_and(|n| n < bound),
                "value_gt" => value.int().is_some_and(|n| n > bound),
                "value_lt" => value.int().is_some_and(|n| n < bound),
                "value_len_gt" => *value != Dyn::Null && length(value) > bound,
                _ => key.int().is_some_and(|n| n % bound == 0),
            })
        }
        _ => return unknown("condition", name),
    })
}

/// `fn` of map, group_by and select_key, which takes the key.
pub(crate) fn pair(name: &str) -> Build<Pair> {
    let (name, parameter) = split(name);
    Ok(match name {
        "identity" => Box::new(|key, value| (key, value)),
        "value_to_key" => Box::new(|_, value| (value.clone(), value)),
        "swap" => Box::new(|key, value| (value, key)),
        "null_key" => Box::new(|_, value| (Dyn::Null, value)),
        "key_value_to" => {
            let key = Dyn::text(parameter);
            Box::new(move |_, value| (key.clone(), value))
        }
        "value_first_char_to_key" => Box::new(|_, value| {
            let first = nth_char(&value, 0);
            (first.map_or(Dyn::Null, Dyn::text), value)
        }),
        "value_name" => Box::new(|_, value| (name_of(&value), value)),
        "key_name" => Box::new(|key, value| (name_of(&key), value)),
        "double_key_upper" => Box::new(|key, value| {
            let key = key.int().map_or(Dyn::Null, |n| Dyn::Int(n * 2));
            (key, Dyn::text(value.print().to_uppercase()))
        }),
        "letter_to_key" => Box::new(|key, value| (distance(&key, 'A'), value)),
        "key_chars" => Box::new(|key, _| {
            let char = |at| nth_char(&key, at).map_or(Dyn::Null, Dyn::text);
            (char(0), char(1))
        }),
        "truncate" => Box::new(|key, value| {
            let text = value.print();
            let whole = text.split('.').next().and_then(|whole| whole.parse().ok());
            (key, whole.map_or(Dyn::Null, Dyn::Int))
        }),
        "value_to_key_unless_null" => Box::new(|key, value| match key.print().as_str() {
            // No pair at all and one without a key are the same here.
            "null" | "NULL" => (Dyn::Null, value),
            _ => (value.clone(), value),
        }),
        "unwindow" => Box::new(|key, value| match key {
            Dyn::Windowed(key, ..) => (*key, value),
            key => (key, value),
        }),
        _ => return unknown("function of pairs", name),
    })
}

/// `fn` of flat_map and flat_map_values, which takes the values.
pub(crate) fn pairs(name: &str) -> Build<Pairs> {
    Ok(match name {
        "key_times" => Box::new(|key, value| {
            let count = key.int().unwrap_or_default();
            let keys = (0..count).map(|at| Dyn::text((count * 10 + at).to_string()));
            keys.map(|key| (key, value.clone())).collect()
        }),
        "small_and_large_v" => Box::new(|key, value| {
            let value = value.print();
            let values = [format!("v{value}"), format!("V{value}")];
            values.map(|v| (key.clone(), Dyn::text(v))).into()
        }),
        "v_and_k" => Box::new(|key, value| {
            let values = [format!("v{}", value.print()), format!("k{}", key.print())];
            values.map(|v| (key.clone(), Dyn::text(v))).into()
        }),
        _ => return unknown("function for many", name),
    })
}

/// `fn` of map_values, `key_fn` of joins with global tables, `topic_fn`.
pub(crate) fn of_pair(name: &str) -> Build<OfPair> {
    fn of_value(each: fn(&Dyn) -> Dyn) -> Box<OfPair> {
        Box::new(move |_, value| match value {
            Dyn::Null => Dyn::Null,
            value => each(value),
        })
    }
    Ok(match name {
        "identity" => of_value(Dyn::clone),
        "length" => of_value(|value| Dyn::Int(length(value))),
        "to_string" => of_value(|value| Dyn::text(value.print())),
        "parse_int" => of_value(|value| value.int().map_or(Dyn::Null, Dyn::Int)),
        "parse_int_neg" => of_value(|value| value.int().map_or(Dyn::Null, |n| Dyn::Int(-n))),
        "char_at_0" => of_value(|value| nth_char(value, 0).map_or(Dyn::Null, Dyn::text)),
        "letter_at_0" => of_value(|value| distance(value, 'a')),
        "digit_at_0" => of_value(|value| distance(value, '0')),
        "to_null" | "null_key" => of_value(|_| Dyn::Null),
        "length_plus_key" => {
            Box::new(|key, value| Dyn::Int(length(value) + key.int().unwrap_or_default()))
        }
        "token_1" => of_value(|value| {
            let text = value.print();
            let token = text.split_once(',').map(|(_, token)| Dyn::text(token));
            token.unwrap_or_default()
        }),
        _ => return unknown("function", name),
    })
}

/// What an aggregate begins with.
pub(crate) fn init(name: &str) -> Result<Dyn, String> {
    Ok(match name {
        "zero" => Dyn::text("0"),
        "empty" => Dyn::text(""),
        "int_zero" => Dyn::Int(0),
        "null" => Dyn::Null,
        _ => return Err(format!("no init {name:?}")),
    })
}

/// `add`, `sub` and `merge`: of the old value and the one that comes.
pub(crate) fn fold(name: &str) -> Build<Two> {
    fn texts(each: fn(String, String) -> String) -> Box<Two> {
        Box::new(move |old, value| Dyn::text(each(old.print(), value.print())))
    }
    fn ints(each: fn(i64, i64) -> i64) -> Box<Two> {
        Box::new(move |old, value| {
            let (old, value) = (old.int(), value.int());
            Dyn::Int(each(old.unwrap_or_default(), value.unwrap_or_default()))
        })
    }
    Ok(match name {
        "append" => texts(|old, value| format!("{old}+{value}")),
        "append_colon" | "colon" => texts(|old, value| format!("{old}:{value}")),
        "concat" => texts(|old, value| old + &value),
        "sort_concat" => texts(|old, value| {
            let mut all: Vec<char> = old.chars().chain(value.chars()).collect();
            all.sort_unstable();
            all.into_iter().collect()
        }),
        "remove" => texts(|old, value| format!("{old}-{value}")),
        "union" => texts(|old, value| {
            let all: BTreeSet<char> = old.chars().chain(value.chars()).collect();
            all.into_iter().collect()
        }),
        "difference" => texts(|old, value| old.replace(|c| value.contains(c), "")),
        "remove_all" => texts(|old, value| old.replace(&value, "")),
        "to_empty" => texts(|_, _| String::new()),
        "int_sum" | "parse_int_sum" => ints(|old, value| old + value),
        "int_sub" => ints(|old, value| old - value),
        "int_dec" => ints(|old, _| old - 1),
        "int_inc" => ints(|old, _| old + 1),
        "min" => ints(i64::min),
        "max" => ints(i64::max),
        "add_length" => {
            Box::new(|old, value| Dyn::Int(old.int().unwrap_or_default() + length(&value)))
        }
        "keep_first" => Box::new(|old, _| old),
        "keep_last" => Box::new(|_, value| value),
        _ => return unknown("fold", name),
    })
}

/// `joiner`: of the left and the right value; null is printed as `null`.
pub(crate) fn joiner(name: &str) -> Build<Two> {
    fn texts(each: fn(String, String) -> String) -> Box<Two> {
        Box::new(move |left, right| Dyn::text(each(left.print(), right.print())))
    }
    Ok(match name {
        "plus" => texts(|left, right| format!("{left}+{right}")),
        "dash" => texts(|left, right| format!("{left}-{right}")),
        "pipe" => texts(|left, right| format!("{left}|{right}")),
        "percent" => texts(|left, right| format!("{left}%{right}")),
        "comma" => texts(|left, right| format!("{left},{right}")),
        "parens" => texts(|left, right| format!("({left},{right})")),
        "concat" => texts(|left, right| left + &right),
        "add_ints" => Box::new(|left, right| {
            let sum = left.int().unwrap_or_default() + right.int().unwrap_or_default();
            Dyn::Int(sum)
        }),
        _ => return unknown("joiner", name),
    })
}

//! Streams, one record at a time.

use super::Outcome;
use crate::build::{Built, Handle};
use crate::case::Node;
use crate::functions;

pub(super) fn build(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    if node.op == "stream" {
        let topics = match node.get("topics") {
            Some(_) => node.texts("topics")?,
            None => vec![node.need_text("topic")?.to_owned()],
        };
        let stream = match built.topics.get(&topics) {
            // Two streams of one topic are one stream.
            Some(known) => known.clone(),
            None => {
                let names = topics.iter().map(String::as_str);
                built.builder.stream_with(names, built.consumed())
            }
        };
        built.topics.insert(topics, stream.clone());
        return Ok(Outcome::Made(Handle::Stream(stream)));
    }
    if node.op == "merge" {
        let ids = node.texts("from")?;
        let [first, others @ ..] = &ids[..] else {
            return Err("a merge of nothing".to_owned());
        };
        let mut merged = built.stream(first)?;
        for other in others {
            merged = merged.merge(&built.stream(other)?);
        }
        return Ok(Outcome::Made(Handle::Stream(merged)));
    }
    let Some(from) = node.text("from") else {
        return Ok(Outcome::NotMine);
    };
    let of_stream = matches!(built.node(from)?, Handle::Stream(_));
    if !of_stream && !matches!(node.op.as_str(), "to_stream" | "to") {
        return Ok(Outcome::NotMine);
    }
    let stream = built.stream(from)?;
    let stream = match node.op.as_str() {
        "to_stream" | "peek" => stream.peek(|_| {}),
        "filter" => {
            let keep = functions::condition(node.need_text("fn")?)?;
            let not = node.flag("not");
            stream.filter(move |key, value| keep(key, value) != not)
        }
        "map" => {
            let map = functions::pair(node.need_text("fn")?)?;
            stream.map(map)
        }
        "map_values" => {
            let map = functions::of_pair(node.need_text("fn")?)?;
            // There is no map of values that sees keys: the key stays all the same.
            stream.map(move |key, value| {
                let value = map(&key, &value);
                (key, value)
            })
        }
        "flat_map" => {
            let map = functions::pairs(node.need_text("fn")?)?;
            stream.flat_map(map)
        }
        "flat_map_values" => {
            let map = functions::pairs(node.need_text("fn")?)?;
            stream.flat_map(map)
        }
        "select_key" => {
            let pair = functions::pair(node.need_text("fn")?)?;
            stream.select_key(move |key, value| pair(key.clone(), value.clone()).0)
        }
        "repartition" => stream.repartition(),
        "to" => {
            stream.to(node.need_text("topic")?);
            return Ok(Outcome::Done);
        }
        "split" => {
            let mut branches = stream.split();
            for branch in node.need("branches")?.as_array().into_iter().flatten() {
                let text = |at: usize| branch[at].as_str().ok_or("a branch without a name");
                let meets = functions::condition(text(1)?)?;
                let branch = branches.branch(meets);
                built
                    .nodes
                    .insert(text(0)?.to_owned(), Handle::Stream(branch));
            }
            if let Some(default) = node.text("default") {
                let rest = branches.otherwise();
                built.nodes.insert(default.to_owned(), Handle::Stream(rest));
            }
            return Ok(Outcome::Done);
        }
        _ => return Ok(Outcome::NotMine),
    };
    Ok(Outcome::Made(Handle::Stream(stream)))
}

//! A flag's texts as the JSON that a configuration file would hold. Pure.
//!
//! A flag given several times adds to lists and maps; of anything else the last one counts.

use super::flags::Kind;
use serde_json::{Map, Value, json};

/// Why a flag's text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: expected {expected}")]
pub(crate) struct BadText {
    text: String,
    expected: &'static str,
}

/// The JSON of a flag given with these texts, of which there is at least one.
///
/// # Errors
/// When a text is not of the kind.
pub(crate) fn to_json(kind: Kind, texts: &[String]) -> Result<Value, BadText> {
    let last = texts.last().map_or("", String::as_str);
    match kind {
        Kind::Bool => truth(last).map(Value::from),
        Kind::Int => number(last),
        Kind::Text => Ok(Value::from(last)),
        Kind::Words => Ok(parts(texts).map(str::trim).collect()),
        Kind::Pairs => parts(texts).map(|pair| split(pair, '=', "key=value")).collect(),
        Kind::Pair => texts.iter().map(|pair| split(pair, '=', "key=value")).collect(),
        Kind::Thresholds => parts(texts).map(|pair| split(pair, '<', "signal<quantity")).collect(),
        Kind::Gates => parts(texts).map(gate).collect(),
        Kind::Headers => headers(texts),
        Kind::Taints => parts(texts).map(taint).collect(),
        Kind::Reservations => texts.iter().map(|text| reservation(text)).collect(),
    }
}

fn bad(text: &str, expected: &'static str) -> BadText {
    BadText { text: text.chars().take(200).collect(), expected }
}

/// The parts between commas, save empty ones.
fn parts(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().flat_map(|text| text.split(',')).filter(|part| !part.is_empty())
}

/// The words of Go's `strconv.ParseBool`.
fn truth(text: &str) -> Result<bool, BadText> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(bad(text, "true or false")),
    }
}

fn number(text: &str) -> Result<Value, BadText> {
    text.parse::<i64>().map(Value::from).map_err(|_| bad(text, "a whole number"))
}

fn split(pair: &str, at: char, expected: &'static str) -> Result<(String, Value), BadText> {
    let (key, value) = pair.split_once(at).ok_or_else(|| bad(pair, expected))?;
    Ok((key.trim().to_owned(), Value::from(value.trim())))
}

fn gate(pair: &str) -> Result<(String, Value), BadText> {
    let (name, open) = pair.split_once('=').ok_or_else(|| bad(pair, "Gate=true or Gate=false"))?;
    Ok((name.trim().to_owned(), Value::from(truth(open.trim())?)))
}

/// Header values may be tokens, so none is repeated when one is malformed.
fn headers(texts: &[String]) -> Result<Value, BadText> {
    let mut headers: Map<String, Value> = Map::new();
    for pair in parts(texts) {
        let (name, value) = pair.split_once(':').ok_or_else(|| bad("…", "Name:value"))?;
        let values = headers.entry(name.trim()).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(Value::from(value.trim()));
        }
    }
    Ok(Value::Object(headers))
}

fn taint(text: &str) -> Result<Value, BadText> {
    let wrong = || bad(text, "key=value:Effect, or key:Effect");
    let (left, effect) = text.split_once(':').ok_or_else(wrong)?;
    let (key, value) = left.split_once('=').unwrap_or((left, ""));
    if key.is_empty() || effect.is_empty() || effect.contains(':') {
        return Err(wrong());
    }
    Ok(if value.is_empty() {
        json!({"key": key, "effect": effect})
    } else {
        json!({"key": key, "value": value, "effect": effect})
    })
}

fn reservation(text: &str) -> Result<Value, BadText> {
    let wrong = || bad(text, "<NUMA node>:<kind of memory>=<quantity>,…");
    let (node, limits) = text.split_once(':').ok_or_else(wrong)?;
    let node: u32 = node.trim().parse().map_err(|_| wrong())?;
    let limits: Value =
        limits.split(',').map(|pair| split(pair, '=', "kind=quantity")).collect::<Result<_, _>>()?;
    Ok(json!({"numaNode": node, "limits": limits}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, texts: &[&str]) -> Result<Value, String> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        to_json(kind, &texts).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn texts_become_what_a_file_would_hold() {
        let cases = [
            ("the last of several counts", Kind::Int, &["1", "2"][..], json!(2)),
            ("Go's short truth", Kind::Bool, &["t"], json!(true)),
            ("lists grow", Kind::Words, &["a,b", "c"], json!(["a", "b", "c"])),
            ("maps grow", Kind::Pairs, &["a=1,b=2", "a=3"], json!({"a": "3", "b": "2"})),
            ("a value may hold the sign", Kind::Pairs, &["a=b=c"], json!({"a": "b=c"})),
            ("one pair may hold commas", Kind::Pair, &["a=1,2"], json!({"a": "1,2"})),
            (
                "thresholds",
                Kind::Thresholds,
                &["memory.available<1Gi,pid.available<10%"],
                json!({"memory.available": "1Gi", "pid.available": "10%"}),
            ),
            ("gates", Kind::Gates, &["A=true,B=false"], json!({"A": true, "B": false})),
            ("a header twice", Kind::Headers, &["A:1,A:2"], json!({"A": ["1", "2"]})),
            (
                "taints with and without a value",
                Kind::Taints,
                &["a=b:NoSchedule,c:NoExecute"],
                json!([{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "c", "effect": "NoExecute"}]),
            ),
            (
                "memory of two nodes",
                Kind::Reservations,
                &["0:memory=1Gi,hugepages-2Mi=4Mi", "1:memory=2Gi"],
                json!([
                    {"numaNode": 0, "limits": {"memory": "1Gi", "hugepages-2Mi": "4Mi"}},
                    {"numaNode": 1, "limits": {"memory": "2Gi"}},
                ]),
            ),
        ];
        for (name, kind, texts, expected) in cases {
            assert_eq!(read(kind, texts), Ok(expected), "{name}");
        }
    }

    #[test]
    fn what_is_not_of_the_kind_is_refused_with_what_is() {
        let cases = [
            (Kind::Bool, "maybe", "\"maybe\": expected true or false"),
            (Kind::Int, "ten", "\"ten\": expected a whole number"),
            (Kind::Pairs, "a", "\"a\": expected key=value"),
            (Kind::Thresholds, "a=1", "\"a=1\": expected signal<quantity"),
            (Kind::Gates, "A=on", "\"on\": expected true or false"),
            (Kind::Headers, "Bearer token", "\"…\": expected Name:value"),
            (Kind::Taints, "a=b", "\"a=b\": expected key=value:Effect, or key:Effect"),
            (
                Kind::Reservations,
                "x:memory=1",
                "\"x:memory=1\": expected <NUMA node>:<kind of memory>=<quantity>,…",
            ),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(read(kind, &[text]), Err(expected.to_owned()));
        }
    }
}

//! YAML or JSON to pods, within bounds, telling where it went wrong.

use super::Refusal;
use k8s_openapi::api::core::v1::Pod;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_yaml_ng::Value;
use std::{cell::Cell, fmt};

/// The most values that a manifest may hold. YAML's aliases can make a small text into a huge
/// document, so they are counted before any of them is kept.
const MOST_VALUES: usize = 200_000;
/// The most unknown fields that are told.
const MOST_UNKNOWN: usize = 10;

/// What was decoded.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) pods: Vec<Pod>,
    pub(super) unknown_fields: Vec<String>,
}

/// Decodes one pod or, where allowed, a list.
pub(super) fn decode(bytes: &[u8], allows_list: bool) -> Result<Decoded, Refusal> {
    let value = document(bytes)?;
    let (version, kind) = (text(&value, "apiVersion"), text(&value, "kind"));
    if version != Some("v1") {
        let found = version.unwrap_or("nothing");
        return Err(Refusal { field: "apiVersion".into(), why: format!("must be v1, not {found:.80}") });
    }
    match kind {
        Some("Pod") => one(value),
        Some("PodList") if allows_list => many(value),
        other => {
            let found = other.unwrap_or("nothing");
            Err(Refusal { field: "kind".into(), why: format!("must be Pod, not {found:.80}") })
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The one document that is not empty.
fn document(bytes: &[u8]) -> Result<Value, Refusal> {
    let not_yaml = |error: serde_yaml_ng::Error| {
        Refusal::whole(format!("it is neither YAML nor JSON: {}", short(&error)))
    };
    let budget = Cell::new(MOST_VALUES);
    let mut found = None;
    for (index, document) in serde_yaml_ng::Deserializer::from_slice(bytes).enumerate() {
        let counted =
            serde::de::DeserializeSeed::deserialize(Counter(&budget), document).map_err(not_yaml)?;
        if counted == Content::Something && found.replace(index).is_some() {
            return Err(Refusal::whole("it holds more than one document; a file may hold one pod"));
        }
    }
    let index = found.ok_or_else(|| Refusal::whole("it is empty"))?;
    let mut documents = serde_yaml_ng::Deserializer::from_slice(bytes).skip(index);
    let document = documents.next().ok_or_else(|| Refusal::whole("it is empty"))?;
    let value = Value::deserialize(document).map_err(not_yaml)?;
    if value.is_mapping() {
        Ok(value)
    } else {
        Err(Refusal::whole("it is no object with apiVersion and kind"))
    }
}

fn one(value: Value) -> Result<Decoded, Refusal> {
    let mut unknown_fields = Vec::new();
    let pod = typed::<Pod>(value, "", &mut unknown_fields)?;
    Ok(Decoded { pods: vec![pod], unknown_fields })
}

/// The items of a list may leave out version and kind.
fn many(mut value: Value) -> Result<Decoded, Refusal> {
    let items = value.get_mut("items").map(std::mem::take);
    let Some(Value::Sequence(items)) = items else {
        return Err(Refusal { field: "items".into(), why: "a PodList needs a list of pods".into() });
    };
    let mut unknown_fields = Vec::new();
    let pods = items.into_iter().enumerate();
    let pods = pods.map(|(index, item)| typed::<Pod>(item, &format!("items[{index}]."), &mut unknown_fields));
    Ok(Decoded { pods: pods.collect::<Result<_, _>>()?, unknown_fields })
}

/// A value as a type; the path of the fault, or of unknown fields, is told.
fn typed<T: DeserializeOwned>(value: Value, at: &str, unknown: &mut Vec<String>) -> Result<T, Refusal> {
    let mut note = |path: serde_ignored::Path<'_>| {
        if unknown.len() < MOST_UNKNOWN {
            unknown.push(format!("{at}{}", readable(&path)));
        }
    };
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let result = T::deserialize(serde_ignored::Deserializer::new(tracked, &mut note));
    result.map_err(|error| {
        let path = track.path().to_string();
        let field = if path == "." { String::new() } else { path };
        Refusal { field: format!("{at}{field}"), why: short(&error) }
    })
}

/// `spec.containers.0.image` as `spec.containers[0].image`.
fn readable(path: &serde_ignored::Path<'_>) -> String {
    let text = path.to_string();
    let parts = text.split('.').filter(|part| *part != "?");
    parts.fold(String::new(), |path, part| match part.parse::<usize>() {
        Ok(index) => format!("{path}[{index}]"),
        Err(_) if path.is_empty() => part.to_owned(),
        Err(_) => format!("{path}.{part}"),
    })
}

/// What a parser says, without the text that it quotes growing beyond a line.
fn short(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    text.chars().take(300).collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Content {
    Nothing,
    Something,
}

/// Counts the values of a document without keeping any.
struct Counter<'a>(&'a Cell<usize>);

impl Counter<'_> {
    fn count<E: Error>(&self) -> Result<Content, E> {
        let left = self.0.get().checked_sub(1);
        self.0.set(left.ok_or_else(|| E::custom(format!("it holds more than {MOST_VALUES} values")))?);
        Ok(Content::Something)
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Counter<'_> {
    type Value = Content;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counter<'_> {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Content, E> {
        self.count()
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Content, E> {
        self.count()
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<Content, E> {
        self.count()
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Content, E> {
        self.count()
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<Content, E> {
        self.count()
    }
    fn visit_unit<E: Error>(self) -> Result<Content, E> {
        self.count().map(|_| Content::Nothing)
    }
    fn visit_none<E: Error>(self) -> Result<Content, E> {
        self.visit_unit()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        self.count::<A::Error>()?;
        while items.next_element_seed(Counter(self.0))?.is_some() {}
        Ok(Content::Something)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        self.count::<A::Error>()?;
        while entries.next_key::<IgnoredAny>()?.is_some() {
            entries.next_value_seed(Counter(self.0))?;
        }
        Ok(Content::Something)
    }
    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, _: A) -> Result<Content, A::Error> {
        Err(A::Error::custom("YAML tags have no meaning here"))
    }
}

//! From the bytes of a manifest to static pods: decoded, defaulted, given their identity, validated.
//!
//! What comes from a file or URL is foreign: it may be broken, huge or hostile. Each step refuses it
//! with the field at fault and a sentence, and nothing is bounded by trust.
//!
//! 2026-11: unknown fields are accepted and warned of. The stock kubelet ignores them silently;
//! refusing them would be safer for the author of a typo, but a manifest that the stock kubelet runs
//! must run here, or a takeover loses pods.

mod decode;
mod defaults;
mod identity;
mod references;
mod validate;

use k8s_openapi::api::core::v1::Pod;
use messages::{NodeName, PodUid};

pub use identity::check_api_pod;

/// The longest manifest that is read, in bytes. A pod that is much longer could not be mirrored: the
/// API server's store takes 1.5 MiB, status and managed fields included.
pub const MOST_BYTES: usize = 1024 * 1024;
/// The longest answer of `staticPodURL`, which may hold many pods; as the stock kubelet has it.
pub const MOST_URL_BYTES: usize = 10 * 1024 * 1024;

/// Why a manifest was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", Self::prefix(field))]
pub struct Refusal {
    /// The field, as a path such as `spec.containers[0].name`; empty when the whole is at fault.
    pub field: String,
    /// Why.
    pub why: String,
}

impl Refusal {
    /// A refusal of the whole.
    pub fn whole(why: impl Into<String>) -> Self {
        Self { field: String::new(), why: why.into() }
    }

    fn prefix(field: &str) -> String {
        if field.is_empty() { String::new() } else { format!("{field}: ") }
    }
}

/// Where a manifest came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// A file, by its path.
    File(&'a str),
    /// The answer of `staticPodURL`.
    Url(&'a str),
}

/// A static pod that may run.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticPod {
    /// Its UID, in its metadata too.
    pub uid: PodUid,
    /// The pod.
    pub pod: Pod,
}

/// What a manifest holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its pods: exactly one from a file.
    pub pods: Vec<StaticPod>,
    /// Paths of fields that Kubernetes 1.36 does not know, the first few.
    pub unknown_fields: Vec<String>,
}

/// Reads a manifest.
///
/// # Errors
/// When anything in it is not as it must be; the first fault is told.
pub fn read(bytes: &[u8], place: Place<'_>, node: &NodeName) -> Result<Manifest, Refusal> {
    let most = match place {
        Place::File(_) => MOST_BYTES,
        Place::Url(_) => MOST_URL_BYTES,
    };
    if bytes.len() > most {
        let size = bytes.len();
        return Err(Refusal::whole(format!("the manifest has {size} bytes; at most {most} are read")));
    }
    let decoded = decode::decode(bytes, matches!(place, Place::Url(_)))?;
    let pods = decoded.pods.into_iter().map(|pod| finish(pod, place, node)).collect::<Result<_, _>>()?;
    Ok(Manifest { pods, unknown_fields: decoded.unknown_fields })
}

fn finish(mut pod: Pod, place: Place<'_>, node: &NodeName) -> Result<StaticPod, Refusal> {
    if pod.metadata.name.as_deref().is_none_or(str::is_empty) {
        return Err(Refusal { field: "metadata.name".into(), why: "a static pod needs a name".into() });
    }
    defaults::apply(&mut pod);
    let uid = identity::give(&mut pod, place, node)?;
    validate::check(&pod)?;
    references::check(&pod)?;
    Ok(StaticPod { uid, pod })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::spec::{CONFIG_HASH, CONFIG_SOURCE};

    const PLACE: Place<'_> = Place::File("/etc/kubernetes/manifests/web.yaml");

    fn node() -> NodeName {
        "Node-1".to_lowercase().parse().unwrap()
    }

    fn read_text(text: &str) -> Result<Manifest, Refusal> {
        read(text.as_bytes(), PLACE, &node())
    }

    fn only(text: &str) -> StaticPod {
        read_text(text).unwrap().pods.remove(0)
    }

    const WEB: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: app, image: nginx, resources: {limits: {cpu: 1}}}
";

    #[test]
    fn a_plain_manifest_becomes_a_pod_of_this_node() {
        let StaticPod { uid, pod } = only(WEB);
        assert_eq!(pod.metadata.name.as_deref(), Some("web-node-1"));
        assert_eq!(pod.metadata.namespace.as_deref(), Some("default"));
        let annotations = pod.metadata.annotations.unwrap();
        assert_eq!(annotations[CONFIG_HASH], uid.as_str());
        assert_eq!(annotations[CONFIG_SOURCE], "file");
        assert!(uid.as_str().len() == 32 && uid.as_str().bytes().all(|b| b.is_ascii_hexdigit()));
        let spec = pod.spec.unwrap();
        assert_eq!(spec.node_name.as_deref(), Some("node-1"));
        let toleration = &spec.tolerations.unwrap()[0];
        assert_eq!(
            (toleration.operator.as_deref(), toleration.effect.as_deref()),
            (Some("Exists"), Some("NoExecute"))
        );
        let requests = spec.containers[0].resources.as_ref().unwrap().requests.as_ref().unwrap();
        assert_eq!(requests["cpu"].0, "1", "a limit is a request where there is none");
    }

    #[test]
    fn the_uid_follows_content_and_place() {
        let uid = |text: &str| only(text).uid;
        assert_eq!(uid(WEB), uid(WEB), "the same file");
        let reordered = WEB.replace("{name: app, image: nginx,", "{image: \"nginx\", name: app, # first\n");
        assert_eq!(uid(WEB), uid(&reordered), "the same content, written otherwise");
        assert_ne!(uid(WEB), uid(&WEB.replace("nginx", "nginx:2")), "an edit is another pod");
        let elsewhere = read(WEB.as_bytes(), Place::File("/other.yaml"), &node()).unwrap();
        assert_ne!(uid(WEB), elsewhere.pods[0].uid, "another file is another pod");
        let named = WEB.replace("name: web}", "name: web, uid: 0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11}");
        assert_eq!(uid(&named).as_str(), "0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11", "an own UID is kept");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_field_and_reason() {
        let pod = |rest: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\n{rest}");
        let deep = format!("a: {}{}", "[".repeat(400), "]".repeat(400));
        let bomb = format!(
            "a: &a [x,x,x,x,x,x,x,x]\n{}",
            (0..9)
                .map(|i| {
                    let (new, old) = (char::from(b'b' + i), char::from(b'a' + i));
                    format!("{new}: &{new} [{}]\n", vec![format!("*{old}"); 8].join(","))
                })
                .collect::<String>()
        );
        let cases = [
            ("nothing", String::new(), "", "empty"),
            ("no YAML", "{{{".into(), "", "YAML"),
            ("no object", "- a\n- b\n".into(), "", "object"),
            ("no kind", "apiVersion: v1\nmetadata: {}\n".into(), "kind", "Pod"),
            ("another kind", WEB.replace("kind: Pod", "kind: Deployment"), "kind", "Deployment"),
            ("another version", WEB.replace("apiVersion: v1", "apiVersion: v9"), "apiVersion", "v9"),
            ("two pods in a file", format!("{WEB}---\n{WEB}"), "", "one"),
            ("a wrong type", pod("spec: {containers: 5}"), "spec.containers", "integer"),
            (
                "a wrong type below",
                WEB.replace("name: app", "name: [app]"),
                "spec.containers[0].name",
                "string",
            ),
            ("no name", WEB.replace("name: web", "generateName: web"), "metadata.name", "name"),
            (
                "a path as a UID",
                WEB.replace("name: web", "name: web, uid: ../../etc"),
                "metadata.uid",
                "not valid",
            ),
            ("a path as a name", WEB.replace("name: web", "name: ../web"), "metadata.name", "not valid"),
            ("too deep", deep, "", ""),
            ("far more content than text", bomb, "", ""),
        ];
        for (sentence, text, field, why) in cases {
            let refusal = read_text(&text).expect_err(sentence);
            assert_eq!(refusal.field, field, "{sentence}: {refusal}");
            assert!(refusal.why.contains(why), "{sentence}: {refusal}");
            assert!(refusal.why.len() < 500, "{sentence}: {refusal}");
        }
    }

    #[test]
    fn a_manifest_has_a_longest_length() {
        let long = format!("{WEB}# {}\n", "x".repeat(MOST_BYTES));
        assert!(read_text(&long).unwrap_err().why.contains("at most"));
        let short = format!("{WEB}# {}\n", "x".repeat(MOST_BYTES - WEB.len() - 3));
        assert!(read_text(&short).is_ok());
    }

    #[test]
    fn json_an_empty_second_document_and_nulls_are_fine() {
        let json = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","creationTimestamp":null},
            "spec":{"containers":[{"name":"app","image":"nginx","ports":null}]}}"#;
        assert!(read_text(json).is_ok());
        assert!(read_text(&format!("---\n{WEB}---\n")).is_ok());
    }

    #[test]
    fn unknown_fields_are_told_and_do_no_harm() {
        let manifest =
            read_text(&WEB.replace("image: nginx", "image: nginx, imagePullPolice: Never")).unwrap();
        assert_eq!(manifest.unknown_fields, ["spec.containers[0].imagePullPolice"]);
        assert_eq!(manifest.pods.len(), 1);
    }

    #[test]
    fn a_url_may_hold_a_list_and_a_file_may_not() {
        let list = r#"{"apiVersion":"v1","kind":"PodList","items":[
            {"metadata":{"name":"a"},"spec":{"containers":[{"name":"x","image":"i"}]}},
            {"metadata":{"name":"b"},"spec":{"containers":[{"name":"x","image":"i"}]}}]}"#;
        let manifest = read(list.as_bytes(), Place::Url("http://x"), &node()).unwrap();
        assert_eq!(manifest.pods.len(), 2);
        assert!(manifest.pods.iter().all(|it| it.pod.spec.as_ref().unwrap().tolerations.is_none()));
        assert_eq!(read_text(list).unwrap_err().field, "kind");
    }
}

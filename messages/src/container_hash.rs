//! The hash by which a running container is known to be of the spec's image.
//!
//! The stock kubelet writes it as annotation `io.kubernetes.container.hash` and restarts a
//! container whose hash differs from its spec's (`pkg/kubelet/container/helpers.go`,
//! `HashContainer`, since 1.31). Written the same way here, so that either node adopts the
//! other's containers: cri-bridge writes it, pod-lifecycle compares it.

/// FNV-1a of 32 bits: offset basis and prime.
const BASIS: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// The value of `io.kubernetes.container.hash`: lower-case hex, of name and image alone, so that
/// defaults added by an API server or a resize restart nothing.
pub fn container_hash(name: &str, image: &str) -> String {
    let json = format!("{{\"image\":{},\"name\":{}}}", go_json(image), go_json(name));
    // What is hashed is the text that Go's dump of a byte slice prints.
    let numbers: Vec<String> = json.bytes().map(|byte| byte.to_string()).collect();
    format!("{:x}", fnv1a_32(&format!("([]uint8)[{}]", numbers.join(" "))))
}

fn fnv1a_32(text: &str) -> u32 {
    text.bytes().fold(BASIS, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME))
}

/// A text as Go's JSON writes it: five characters more are escaped than JSON asks for.
fn go_json(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_stock_kubelets() {
        let cases = [
            ("the sample that upstream froze at 1.31", "test_container", "foo/image:v1", "8e45cbd0"),
            ("an image with registry and tag", "app", "docker.io/library/busybox:1.36", "13385bb0"),
            ("nothing at all", "", "", "edd67cc4"),
            ("what Go's JSON escapes beyond JSON", "a", "a<b>&\"x\u{2028}é", "46007a4a"),
        ];
        for (sentence, name, image, hash) in cases {
            assert_eq!(container_hash(name, image), hash, "{sentence}");
        }
    }
}

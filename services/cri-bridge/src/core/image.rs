//! Image names and pull policies.

/// Why a text is no image name (`distribution/reference`'s grammar and words).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadImage {
    /// Does not fit the grammar.
    #[error("invalid reference format")]
    Format,
    /// Has capital letters where a repository is named.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// Looks like an image id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Hexadecimal(String),
    /// More than 255 characters of repository.
    #[error("repository name must not be more than {LONGEST} characters")]
    TooLong,
}

const LONGEST: usize = 255;
const DEFAULT_DOMAIN: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";

/// An image name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// Registry and path, as in `docker.io/library/busybox`: what credentials are matched with.
    pub repository: String,
    /// The image as the spec writes it, with `:latest` when it had neither tag nor digest. This
    /// is what the runtime is given: short names stay short.
    pub tagged: String,
}

impl std::str::FromStr for ImageName {
    type Err = BadImage;
    fn from_str(image: &str) -> Result<Self, BadImage> {
        if image.len() == 64 && image.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(BadImage::Hexadecimal(image.to_owned()));
        }
        let (domain, path) = split_domain(image);
        let until_tag = path.split([':', '@']).next().unwrap_or_default();
        if until_tag.chars().any(char::is_uppercase) {
            return Err(BadImage::Uppercase(until_tag.to_owned()));
        }
        let (named, digest) = path.split_once('@').map_or((path.as_str(), None), |(n, d)| (n, Some(d)));
        let (name, tag) = named.split_once(':').map_or((named, None), |(n, t)| (n, Some(t)));
        let fits = is_domain(domain)
            && name.split('/').all(is_path_part)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest);
        if !fits {
            return Err(BadImage::Format);
        }
        let repository = format!("{domain}/{name}");
        if repository.len() > LONGEST {
            return Err(BadImage::TooLong);
        }
        let bare = tag.is_none() && digest.is_none();
        let tagged = if bare { format!("{image}:{DEFAULT_TAG}") } else { image.to_owned() };
        Ok(Self { repository, tagged })
    }
}

/// The registry and the rest, with Docker Hub's defaults filled in.
fn split_domain(image: &str) -> (&str, String) {
    let (domain, rest) = match image.split_once('/') {
        Some((first, rest)) if is_registry(first) => (first, rest),
        _ => (DEFAULT_DOMAIN, image),
    };
    let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
    let official = domain == DEFAULT_DOMAIN && !rest.contains('/');
    (domain, if official { format!("library/{rest}") } else { rest.to_owned() })
}

/// The first part of a name is a registry and no user when it could not be a user.
fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase)
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let hex = address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            return hex && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_number));
        }
        None => domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port))),
    };
    host.split('.').all(is_host_part) && port.is_none_or(is_number)
}

fn is_host_part(part: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = part.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Lower-case letters and digits, held together by `.`, `_`, `__` or any number of `-`.
fn is_path_part(part: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edge = |b: Option<&u8>| b.is_some_and(|b| word(*b));
    let joint = |joint: &str| {
        joint.is_empty() || matches!(joint, "." | "_" | "__") || joint.bytes().all(|b| b == b'-')
    };
    edge(part.as_bytes().first())
        && edge(part.as_bytes().last())
        && part.split(|c: char| c.is_ascii() && word(c as u8)).all(joint)
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&tag.len())
        && word(tag.as_bytes()[0])
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        let wanted = match algorithm {
            "sha256" => 64,
            "sha384" => 96,
            "sha512" => 128,
            _ => return false,
        };
        hex.len() == wanted && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// `imagePullPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Ask the registry each time.
    Always,
    /// Only what is not there.
    IfNotPresent,
    /// Nothing, ever.
    Never,
}

impl PullPolicy {
    /// The policy as written. The API server fills it in, a manifest may lack it: then an image
    /// of tag `latest` is pulled always and any other once.
    pub fn of(written: Option<&str>, name: &ImageName) -> Self {
        match written {
            Some("Always") => Self::Always,
            Some("Never") => Self::Never,
            Some("IfNotPresent") => Self::IfNotPresent,
            _ if name.tagged.ends_with(":latest") => Self::Always,
            _ => Self::IfNotPresent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_normalised_for_credentials_and_tagged_for_the_runtime() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let by_digest = format!("registry.k8s.io/pause@{digest}");
        let cases = [
            ("an official image", "busybox", "docker.io/library/busybox", "busybox:latest"),
            ("a user's image", "me/tool:1", "docker.io/me/tool", "me/tool:1"),
            ("Docker Hub's old name", "index.docker.io/a", "docker.io/library/a", "index.docker.io/a:latest"),
            (
                "a registry with a port",
                "localhost:5000/a/b",
                "localhost:5000/a/b",
                "localhost:5000/a/b:latest",
            ),
            ("localhost needs no port", "localhost/a", "localhost/a", "localhost/a:latest"),
            ("a digest needs no tag", &by_digest, "registry.k8s.io/pause", &by_digest),
            (
                "all kinds of joints",
                "x.io/a__b/c-d.e---f",
                "x.io/a__b/c-d.e---f",
                "x.io/a__b/c-d.e---f:latest",
            ),
            ("an IPv6 registry", "[fd00::1]:5000/a:1", "[fd00::1]:5000/a", "[fd00::1]:5000/a:1"),
        ];
        for (sentence, image, repository, tagged) in cases {
            let name: ImageName = image.parse().unwrap_or_else(|e| panic!("{sentence}: {e}"));
            assert_eq!((name.repository.as_str(), name.tagged.as_str()), (repository, tagged), "{sentence}");
        }
    }

    #[test]
    fn what_is_no_image_is_refused_in_the_words_that_people_know() {
        let cases = [
            ("nothing", "".to_owned(), BadImage::Format),
            ("a space", "a b".into(), BadImage::Format),
            ("a trailing colon", "busybox:".into(), BadImage::Format),
            ("a doubled slash", "x.io//a".into(), BadImage::Format),
            ("a path upwards", "x.io/../etc".into(), BadImage::Format),
            ("a short digest", "a@sha256:12".into(), BadImage::Format),
            ("capitals", "library/Busybox".into(), BadImage::Uppercase("library/Busybox".into())),
            ("an image id", "a".repeat(64), BadImage::Hexadecimal("a".repeat(64))),
            ("a very long name", format!("x.io/{}", "a".repeat(300)), BadImage::TooLong),
        ];
        for (sentence, image, want) in cases {
            assert_eq!(image.parse::<ImageName>(), Err(want), "{sentence}");
        }
    }

    #[test]
    fn a_missing_policy_depends_on_the_tag() {
        let cases = [
            (Some("Never"), "a", PullPolicy::Never),
            (Some("IfNotPresent"), "a", PullPolicy::IfNotPresent),
            (None, "a", PullPolicy::Always),
            (None, "a:latest", PullPolicy::Always),
            (None, "a:1", PullPolicy::IfNotPresent),
        ];
        for (written, image, want) in cases {
            assert_eq!(PullPolicy::of(written, &image.parse().unwrap()), want, "{written:?} {image}");
        }
    }
}

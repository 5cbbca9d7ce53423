//! How having an image ends: reasons, messages and events of the kubelet (`pkg/kubelet/images`).

use messages::Fault;
use std::time::Duration;

/// Why a container's image is not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullFault {
    /// The name is none.
    InvalidName {
        /// As the spec writes it.
        image: String,
        /// What is wrong with it.
        why: String,
    },
    /// The runtime could not be asked.
    Inspect {
        /// As the spec writes it.
        image: String,
        /// What it said.
        why: String,
    },
    /// Not there, and not to be pulled.
    Never {
        /// As the spec writes it.
        image: String,
    },
    /// The pull failed.
    Pull {
        /// As the spec writes it.
        image: String,
        /// What the runtime said, of all tries.
        why: String,
    },
}

/// Errors of CRI that are a reason of their own: how they begin, and what is said of them.
const NAMED: [(&str, &str); 2] = [
    ("RegistryUnavailable", "the registry is unavailable"),
    ("SignatureValidationFailed", "the signature validation failed"),
];

impl PullFault {
    /// The waiting reason and message of the container.
    pub fn fault(&self) -> Fault {
        match self {
            Self::InvalidName { image, why } => Fault::new("InvalidImageName", invalid(image, why)),
            Self::Inspect { why, .. } => Fault::new("ImageInspectError", inspect(why)),
            Self::Never { image } => Fault::new("ErrImageNeverPull", never(image)),
            Self::Pull { image, why } => pull(image, why),
        }
    }

    /// Reason and message of the `Warning` event.
    pub fn event(&self) -> (&'static str, String) {
        match self {
            Self::InvalidName { image, why } => ("InspectFailed", invalid(image, why)),
            Self::Inspect { why, .. } => ("InspectFailed", inspect(why)),
            Self::Never { image } => ("ErrImageNeverPull", never(image)),
            Self::Pull { image, why } => ("Failed", format!("Failed to pull image {image:?}: {why}")),
        }
    }
}

fn invalid(image: &str, why: &str) -> String {
    format!("Failed to apply default image tag {image:?}: couldn't parse image name {image:?}: {why}")
}

fn inspect(why: &str) -> String {
    // The kubelet names the reference that it did not get.
    format!("Failed to inspect image \"\": {why}")
}

fn never(image: &str) -> String {
    format!("Container image {image:?} is not present with pull policy of Never")
}

/// Whether an error begins with a reason of its own.
pub fn is_named(why: &str) -> bool {
    NAMED.iter().any(|(reason, _)| why.starts_with(reason))
}

fn pull(image: &str, why: &str) -> Fault {
    let named = NAMED.iter().find_map(|(reason, words)| Some((reason, words, why.strip_prefix(reason)?)));
    match named {
        Some((reason, words, rest)) => {
            Fault::new(*reason, format!("image pull failed for {image} because {words}{rest}"))
        }
        None => Fault::new("ErrImagePull", why),
    }
}

/// The `Pulled` event of an image that was there.
pub fn present(image: &str) -> String {
    format!("Container image {image:?} already present on machine")
}

/// The `Pulling` event.
pub fn pulling(image: &str) -> String {
    format!("Pulling image {image:?}")
}

/// The `Pulled` event of an image that was not there.
pub fn pulled(image: &str, pull: Duration, waiting: Duration, bytes: u64) -> String {
    let (pull, waiting) = (go_duration(pull), go_duration(waiting));
    format!(
        "Successfully pulled image {image:?} in {pull} ({waiting} including waiting). Image size: {bytes} bytes."
    )
}

/// A duration in whole milliseconds as Go prints it.
fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let (minutes, seconds, rest) = (millis / 60_000, millis / 1000 % 60, millis % 1000);
    let fraction = format!(".{rest:03}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    match (minutes, seconds) {
        (0, 0) if rest > 0 => format!("{rest}ms"),
        (0, seconds) => format!("{seconds}{fraction}s"),
        (minutes, seconds) if minutes < 60 => format!("{minutes}m{seconds}{fraction}s"),
        (minutes, seconds) => format!("{}h{}m{seconds}{fraction}s", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_in_the_kubelets_words() {
        let image = || "x.io/a:1".to_owned();
        let invalid = "Failed to apply default image tag \"A b\": couldn't parse image name \"A b\": invalid reference format";
        let cases = [
            (
                PullFault::InvalidName { image: "A b".into(), why: "invalid reference format".into() },
                ("InvalidImageName", invalid),
                ("InspectFailed", invalid),
            ),
            (
                PullFault::Never { image: image() },
                (
                    "ErrImageNeverPull",
                    "Container image \"x.io/a:1\" is not present with pull policy of Never",
                ),
                (
                    "ErrImageNeverPull",
                    "Container image \"x.io/a:1\" is not present with pull policy of Never",
                ),
            ),
            (
                PullFault::Pull { image: image(), why: "not found".into() },
                ("ErrImagePull", "not found"),
                ("Failed", "Failed to pull image \"x.io/a:1\": not found"),
            ),
            (
                PullFault::Pull { image: image(), why: "RegistryUnavailable: down".into() },
                (
                    "RegistryUnavailable",
                    "image pull failed for x.io/a:1 because the registry is unavailable: down",
                ),
                ("Failed", "Failed to pull image \"x.io/a:1\": RegistryUnavailable: down"),
            ),
            (
                PullFault::Inspect { image: image(), why: "no answer".into() },
                ("ImageInspectError", "Failed to inspect image \"\": no answer"),
                ("InspectFailed", "Failed to inspect image \"\": no answer"),
            ),
        ];
        for (fault, (reason, message), event) in cases {
            assert_eq!(fault.fault(), Fault::new(reason, message));
            assert_eq!(fault.event(), (event.0, event.1.to_owned()));
        }
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let cases = [
            (0, "0s"),
            (7, "7ms"),
            (1000, "1s"),
            (1230, "1.23s"),
            (61_005, "1m1.005s"),
            (3_600_000, "1h0m0s"),
        ];
        for (millis, want) in cases {
            assert_eq!(go_duration(Duration::from_millis(millis)), want);
        }
        let told = pulled("a", Duration::from_millis(1500), Duration::from_millis(2500), 12);
        assert_eq!(
            told,
            "Successfully pulled image \"a\" in 1.5s (2.5s including waiting). Image size: 12 bytes."
        );
    }
}

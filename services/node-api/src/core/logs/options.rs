//! `v1.PodLogOptions`, from a query string.

use crate::core::{
    query::{Query, Undecodable},
    refused::Refused,
};
use jiff::Timestamp;
use std::time::Duration;

/// What of a log is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LogOptions {
    /// Go on until the container ends.
    pub(crate) follow: bool,
    /// The log of the instance before this one.
    pub(crate) previous: bool,
    /// Each line begins with its time.
    pub(crate) timestamps: bool,
    /// Only what was written from this moment on.
    pub(crate) since: Option<Timestamp>,
    /// Only so many lines from the end, before `since` is looked at.
    pub(crate) tail: Option<u64>,
    /// Only so many bytes.
    pub(crate) limit: Option<u64>,
    /// Only what was written to these.
    pub(crate) streams: LogStreams,
}

/// Standard output, standard error, or both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LogStreams {
    /// `All`.
    #[default]
    All,
    /// `Stdout`.
    Stdout,
    /// `Stderr`.
    Stderr,
}

/// Reads the options. `split_streams` is the feature gate PodLogsQuerySplitStreams.
pub(crate) fn read(query: &Query, now: Timestamp, split_streams: bool) -> Result<LogOptions, Refused> {
    let raw = Raw::decode(query)
        .map_err(|Undecodable| Refused::bad_request(r#"{"message": "Unable to decode query."}"#))?;
    if !raw.is_valid() {
        return Err(Refused { code: 422, text: r#"{"message": "Invalid request."}"#.into() });
    }
    let streams = raw.streams(split_streams)?;
    let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    Ok(LogOptions {
        follow: query.switch("follow"),
        previous: query.switch("previous"),
        timestamps: query.switch("timestamps"),
        since: raw.since(now),
        tail: number(raw.tail),
        limit: number(raw.limit),
        streams,
    })
}

/// Values, before it is looked at whether they make sense.
struct Raw<'q> {
    since_seconds: Option<i64>,
    since_time: Option<Timestamp>,
    tail: Option<i64>,
    limit: Option<i64>,
    stream: Option<&'q str>,
}

impl<'q> Raw<'q> {
    fn decode(query: &'q Query) -> Result<Self, Undecodable> {
        // `tail` is an older name for `tailLines`, and wins where it is not empty.
        let tail = match query.first("tail").filter(|tail| !tail.is_empty()) {
            Some("all") => None,
            Some(_) => query.number("tail")?,
            None => query.number("tailLines")?,
        };
        let since_time = match query.first("sinceTime") {
            None | Some("" | "null") => None,
            Some(text) => Some(text.parse().map_err(|_| Undecodable)?),
        };
        Ok(Self {
            since_seconds: query.number("sinceSeconds")?,
            since_time,
            tail,
            limit: query.number("limitBytes")?,
            stream: query.first("stream"),
        })
    }

    /// `ValidatePodLogOptions` of `pkg/apis/core/v1/validation`.
    fn is_valid(&self) -> bool {
        let known = self.stream.is_none_or(|stream| matches!(stream, "All" | "Stdout" | "Stderr"));
        let tail_of_one = self.tail.is_some() && self.stream.is_some_and(|stream| stream != "All");
        self.tail.is_none_or(|tail| tail >= 0)
            && self.limit.is_none_or(|limit| limit >= 1)
            && self.since_seconds.is_none_or(|seconds| seconds >= 1)
            && !(self.since_seconds.is_some() && self.since_time.is_some())
            && known
            && !tail_of_one
    }

    fn streams(&self, split_streams: bool) -> Result<LogStreams, Refused> {
        match self.stream {
            None | Some("All") => Ok(LogStreams::All),
            Some(stream) if !split_streams => Err(Refused::bad_request(format!(
                "unable to return the given log stream: {stream:?}. Please enable PodLogsQuerySplitStreams \
                 feature gate in kubelet"
            ))),
            Some("Stdout") => Ok(LogStreams::Stdout),
            Some(_) => Ok(LogStreams::Stderr),
        }
    }

    fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let seconds = self.since_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let ago =
            seconds.map(|seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap_or(Timestamp::MIN));
        ago.or(self.since_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn options_are_read_as_the_kubelet_reads_them() {
        let all = LogOptions::default();
        let since = |text: &str| Some(text.parse().unwrap());
        let cases = [
            ("", all),
            (
                "follow=true&previous=true&timestamps=true",
                LogOptions { follow: true, previous: true, timestamps: true, ..all },
            ),
            ("tailLines=10", LogOptions { tail: Some(10), ..all }),
            ("tail=7&tailLines=10", LogOptions { tail: Some(7), ..all }),
            ("tail=all&tailLines=10", all),
            ("tail=&tailLines=10", LogOptions { tail: Some(10), ..all }),
            ("tailLines=0", LogOptions { tail: Some(0), ..all }),
            ("limitBytes=1", LogOptions { limit: Some(1), ..all }),
            ("sinceSeconds=60", LogOptions { since: since("2026-11-21T11:59:00Z"), ..all }),
            ("sinceSeconds=9000000000000000000", LogOptions { since: Some(Timestamp::MIN), ..all }),
            (
                "sinceTime=2026-11-21T11%3A00%3A00%2B01%3A00",
                LogOptions { since: since("2026-11-21T10:00:00Z"), ..all },
            ),
            ("sinceTime=", all),
            ("stream=All", all),
        ];
        for (query, want) in cases {
            assert_eq!(read(&Query::parse(query), now(), false), Ok(want), "{query}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_as_the_kubelet_does() {
        let undecodable = [400].into_iter().zip(["Unable to decode query."]).next().unwrap();
        let invalid = (422, "Invalid request.");
        let cases = [
            ("tailLines=x", false, undecodable),
            ("limitBytes=1.5", false, undecodable),
            ("sinceTime=yesterday", false, undecodable),
            ("tailLines=-1", false, invalid),
            ("limitBytes=0", false, invalid),
            ("sinceSeconds=0", false, invalid),
            ("sinceSeconds=5&sinceTime=2026-11-21T11:00:00Z", false, invalid),
            ("stream=Other", true, invalid),
            ("stream=Stdout&tailLines=5", true, invalid),
            ("stream=Stdout", false, (400, "unable to return the given log stream: \"Stdout\"")),
        ];
        for (query, gate, (code, text)) in cases {
            let refused = read(&Query::parse(query), now(), gate).unwrap_err();
            assert_eq!(refused.code, code, "{query}");
            assert!(refused.text.contains(text), "{query}: {}", refused.text);
        }
    }

    #[test]
    fn with_the_gate_one_stream_can_be_had_alone() {
        let read = |query: &str| read(&Query::parse(query), now(), true).map(|options| options.streams);
        assert_eq!(read("stream=Stdout"), Ok(LogStreams::Stdout));
        assert_eq!(read("stream=Stderr"), Ok(LogStreams::Stderr));
    }
}

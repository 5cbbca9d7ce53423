//! `logging` and `tracing` of `KubeletConfiguration` (component-base's LoggingConfiguration and
//! TracingConfiguration).

use super::{choices::LogFormat, duration::GoDuration, table::table};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

table! {
    /// What the one log looks like.
    Logging {
        /// klog's text, or JSON.
        "format" format: LogFormat = LogFormat::Text;
        /// How long lines may be held back. Without effect: they are not.
        #[serde(deserialize_with = "nanoseconds_or_text")]
        "flushFrequency" flush_frequency: GoDuration = GoDuration::seconds(5);
        /// klog's `-v`: 0 for operators, 2 usual in clusters, 4 and above for finding faults.
        "verbosity" verbosity: u32 = 0;
        /// Other verbosities for some files. Without effect, since the files are others here.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        "vmodule" vmodule: Vec<VModule> = Vec::new();
        /// Options of each format. Without effect.
        "options" options: FormatOptions = FormatOptions::default();
    }
}

/// A verbosity for source files whose names match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VModule {
    /// A base name without `.go`, or a pattern.
    pub file_pattern: String,
    /// As [`Logging::verbosity`].
    pub verbosity: u32,
}

table! {
    /// Options of each log format.
    FormatOptions {
        /// Of `text`.
        "text" text: OutputRouting = OutputRouting::default();
        /// Of `json`.
        "json" json: OutputRouting = OutputRouting::default();
    }
}

table! {
    /// Where lines go.
    OutputRouting {
        /// Errors to standard error, the rest to standard output.
        "splitStream" split_stream: bool = false;
        /// How much of the rest is buffered: a quantity of bytes.
        "infoBufferSize" info_buffer_size: Value = Value::from("0");
    }
}

table! {
    /// Where the stock kubelet sends spans; trace-recorder forwards there.
    Tracing {
        /// `host:port` of an OTLP gRPC collector; `localhost:4317` when absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        "endpoint" endpoint: Option<String> = None;
        /// Of a million traces, how many are sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        "samplingRatePerMillion" sampling_rate_per_million: Option<u32> = None;
    }
}

/// `logging.flushFrequency` was once a plain number of nanoseconds, and files still have it.
fn nanoseconds_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GoDuration, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => text.parse().map_err(D::Error::custom),
        Value::Number(number) => number
            .as_i64()
            .map(GoDuration::from_nanoseconds)
            .ok_or_else(|| D::Error::custom("expected whole nanoseconds")),
        _ => Err(D::Error::custom("expected a duration, or whole nanoseconds")),
    }
}

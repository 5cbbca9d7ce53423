//! What of a log file is answered: its records, one after the other, through the options.

use super::{
    line::{Line, Stream},
    options::{LogOptions, LogStreams},
};
use jiff::Timestamp;

/// The longest record that is kept together, in bytes. The runtime cuts lines at 16 KiB; what is longer is no
/// record of a CRI log and is passed over.
pub(crate) const LONGEST: usize = 256 << 10;

/// Goes through the bytes of a log file and keeps what is to be answered.
#[derive(Debug)]
pub(crate) struct Printer {
    options: LogOptions,
    /// A record whose end was not read yet.
    begun: Vec<u8>,
    /// The record that is being read is too long, and its end is waited for.
    skips: bool,
    /// The next record begins a line: it gets its time before it.
    at_line_start: bool,
    /// Bytes that may still be answered.
    left: u64,
    /// Records that may still be answered, where the end of the file is wanted and nothing after it.
    records: Option<u64>,
}

impl Printer {
    /// At the beginning of what is to be read; for `tail` the caller has looked for it.
    pub(crate) fn new(options: LogOptions) -> Self {
        let records = options.tail.filter(|_| !options.follow);
        let left = options.limit.unwrap_or(u64::MAX);
        Self { options, begun: Vec::new(), skips: false, at_line_start: true, left, records }
    }

    /// Nothing more will be answered.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0 || self.records == Some(0)
    }

    /// Takes the next bytes of the file and appends what is answered to `out`.
    pub(crate) fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = bytes.split_at(end + 1);
            bytes = rest;
            if std::mem::take(&mut self.skips) {
                continue;
            }
            if self.begun.is_empty() {
                self.record(head, out);
            } else {
                let mut record = std::mem::take(&mut self.begun);
                record.extend_from_slice(head);
                self.record(&record, out);
                record.clear();
                self.begun = record;
            }
            if self.is_done() {
                return;
            }
        }
        self.begin(bytes);
    }

    /// The file has ended for good: what is left is a record, although its end is missing.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        let record = std::mem::take(&mut self.begun);
        if !record.is_empty() && !self.is_done() {
            self.record(&record, out);
        }
    }

    /// Another file goes on where the last one ended.
    pub(crate) fn next_file(&mut self) {
        self.begun.clear();
        self.skips = false;
    }

    fn begin(&mut self, bytes: &[u8]) {
        if self.skips {
            return;
        }
        if self.begun.len() + bytes.len() > LONGEST {
            self.begun = Vec::new();
            self.skips = true;
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }

    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) {
        let Some(line) = Line::read(record) else { return };
        if self.is_wanted(&line) {
            if self.options.timestamps && self.at_line_start {
                self.print(format!("{} ", time(line.at)).as_bytes(), out);
            }
            self.print(line.text, out);
        }
        self.records = self.records.map(|records| records.saturating_sub(1));
        self.at_line_start = line.text.last().is_none_or(|last| *last == b'\n');
    }

    fn is_wanted(&self, line: &Line<'_>) -> bool {
        let stream = match self.options.streams {
            LogStreams::All => true,
            LogStreams::Stdout => line.stream == Stream::Stdout,
            LogStreams::Stderr => line.stream == Stream::Stderr,
        };
        stream && self.options.since.is_none_or(|since| line.at >= since)
    }

    fn print(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        out.extend_from_slice(&bytes[..room]);
        self.left -= room as u64;
    }
}

/// RFC 3339 with exactly nine digits.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
2026-11-21T12:00:00Z stdout F one
2026-11-21T12:00:01.5Z stderr F two
2026-11-21T12:00:02Z stdout P thr
2026-11-21T12:00:03Z stdout F ee
not a record
2026-11-21T12:00:04Z stdout F four
";

    fn printed(options: LogOptions, pieces: impl Iterator<Item = Vec<u8>>) -> String {
        let (mut printer, mut out) = (Printer::new(options), Vec::new());
        for piece in pieces {
            if printer.is_done() {
                break;
            }
            printer.take(&piece, &mut out);
        }
        printer.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn records_go_through_the_options() {
        let all = LogOptions::default();
        let since = |text: &str| Some(text.parse().unwrap());
        let cases = [
            ("everything", all, "one\ntwo\nthree\nfour\n"),
            ("one stream", LogOptions { streams: LogStreams::Stderr, ..all }, "two\n"),
            ("from a moment on", LogOptions { since: since("2026-11-21T12:00:03Z"), ..all }, "ee\nfour\n"),
            ("so many bytes", LogOptions { limit: Some(6), ..all }, "one\ntw"),
            ("so many records", LogOptions { tail: Some(2), ..all }, "one\ntwo\n"),
            ("none", LogOptions { tail: Some(0), ..all }, ""),
            (
                "the times, of lines and not of parts",
                LogOptions { timestamps: true, ..all },
                "2026-11-21T12:00:00.000000000Z one\n2026-11-21T12:00:01.500000000Z two\n\
                 2026-11-21T12:00:02.000000000Z three\n2026-11-21T12:00:04.000000000Z four\n",
            ),
            (
                "following is not ended by the tail",
                LogOptions { tail: Some(1), follow: true, ..all },
                "one\ntwo\nthree\nfour\n",
            ),
        ];
        for (name, options, want) in cases {
            assert_eq!(printed(options, std::iter::once(LOG.into())), want, "{name}");
            let single = LOG.bytes().map(|byte| vec![byte]);
            assert_eq!(printed(options, single), want, "{name}, byte by byte");
        }
    }

    #[test]
    fn a_record_without_an_end_counts_when_the_file_has_ended() {
        let text = "2026-11-21T12:00:00Z stdout F half";
        assert_eq!(printed(LogOptions::default(), std::iter::once(text.into())), "half");
    }

    #[test]
    fn what_is_endless_is_passed_over_and_not_kept() {
        let (mut printer, mut out) = (Printer::new(LogOptions::default()), Vec::new());
        for _ in 0..64 {
            printer.take(&vec![b'x'; 64 << 10], &mut out);
            assert!(printer.begun.len() <= LONGEST);
        }
        printer.take(b"\n2026-11-21T12:00:00Z stdout F after\n", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "after\n");
    }
}

//! From a child's standard error into the log, line by line, whatever it writes.

use super::{Author, Log};
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// The longest line that is kept whole, in bytes; the rest of a longer one is dropped.
const LONGEST: usize = 16 * 1024;

/// Writes what a child says until it closes its end. What a child says faster than it can be written
/// waits in the pipe, and then so does the child.
pub(crate) async fn pump(output: impl AsyncRead + Unpin, author: Author, log: Log) {
    let mut output = BufReader::with_capacity(4096, output);
    let mut line = Vec::new();
    while let Ok(true) = next_line(&mut output, &mut line).await {
        if !line.is_empty() {
            log.write(author, &String::from_utf8_lossy(&line));
        }
    }
}

/// Reads one line, cut to its longest, without its end. False when there is none any more.
async fn next_line(output: &mut (impl AsyncBufReadExt + Unpin), line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let available = output.fill_buf().await?;
        if available.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let piece = &available[..end.unwrap_or(available.len())];
        line.extend(piece.iter().take(LONGEST.saturating_sub(line.len())));
        let used = piece.len() + usize::from(end.is_some());
        output.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_told_apart_and_long_ones_are_cut() {
        let long = "x".repeat(LONGEST + 100);
        let text = format!("a\n\n{long}\nend without newline");
        let mut output = BufReader::with_capacity(7, text.as_bytes());
        let (mut line, mut lengths) = (Vec::new(), Vec::new());
        while next_line(&mut output, &mut line).await.unwrap() {
            lengths.push(line.len());
        }
        assert_eq!(lengths, [1, 0, LONGEST, "end without newline".len()]);
    }
}

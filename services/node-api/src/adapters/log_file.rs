//! Reads container logs: from where the tail begins, file after file, and on while they are followed.
//!
//! File reads go to the blocking pool; what is answered goes through a queue of a few pieces, so that a slow
//! reader slows the reading and costs no memory.

use crate::{
    core::logs::{options::LogOptions, printer::Printer},
    ports::{Change, Changes, OpenLog},
};
use bytes::Bytes;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};
use tokio::{sync::mpsc, task::spawn_blocking};
use tracing::debug;

/// Bytes read at once.
const PIECE: usize = 32 << 10;
/// Bytes read at once while the beginning of the tail is looked for.
const BLOCK: u64 = 16 << 10;

/// Sends what is to be answered of a log, piece by piece; ends with the log or with the receiver.
pub(crate) async fn print(log: OpenLog, options: LogOptions, answer: mpsc::Sender<Bytes>) {
    let unwanted = answer.clone();
    let mut reading = Reading { printer: Printer::new(options), answer };
    // Each may be dropped at any await: nothing is kept that anybody would miss.
    let ended = tokio::select! {
        ended = reading.all(log, options) => ended,
        () = unwanted.closed() => return,
    };
    if let Err(error) = ended {
        debug!(%error, "a log could not be read to its end");
    }
}

struct Reading {
    printer: Printer,
    answer: mpsc::Sender<Bytes>,
}

impl Reading {
    async fn all(&mut self, log: OpenLog, options: LogOptions) -> io::Result<()> {
        let OpenLog { mut files, is_growing, mut changes } = log;
        if let Some(lines) = options.tail {
            files = spawn_blocking(move || seek_tail(files, lines)).await??;
        }
        let Some(mut live) = files.pop() else { return Ok(()) };
        for file in files {
            self.file(file).await?;
            self.printer.next_file();
        }
        live = self.file(live).await?;
        if options.follow && is_growing {
            live = self.follow(live, &mut *changes).await?;
        }
        drop(live);
        self.end().await
    }

    /// Reads on whenever there is more, until the container has ended.
    async fn follow(&mut self, mut live: File, changes: &mut dyn Changes) -> io::Result<File> {
        while !self.is_done() {
            let change = changes.next().await;
            live = self.file(live).await?;
            match change {
                Change::Grown => {}
                Change::Rotated(next) => {
                    self.printer.next_file();
                    live = self.file(next).await?;
                }
                Change::Ended | Change::Lost => break,
            }
        }
        Ok(live)
    }

    /// Reads a file to its present end.
    async fn file(&mut self, mut file: File) -> io::Result<File> {
        while !self.is_done() {
            let (back, piece) = spawn_blocking(move || read(file)).await??;
            file = back;
            if piece.is_empty() {
                break;
            }
            let mut out = Vec::new();
            self.printer.take(&piece, &mut out);
            self.send(out).await;
        }
        Ok(file)
    }

    async fn end(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        self.printer.end(&mut out);
        self.send(out).await;
        Ok(())
    }

    async fn send(&mut self, out: Vec<u8>) {
        if !out.is_empty() {
            // When nobody takes it any more, `is_done` tells.
            let _ = self.answer.send(out.into()).await;
        }
    }

    fn is_done(&self) -> bool {
        self.printer.is_done() || self.answer.is_closed()
    }
}

fn read(mut file: File) -> io::Result<(File, Vec<u8>)> {
    let mut piece = vec![0; PIECE];
    let length = file.read(&mut piece)?;
    piece.truncate(length);
    Ok((file, piece))
}

/// Leaves out what comes before the last so many records: whole files, and the beginning of the first that is
/// left.
fn seek_tail(files: Vec<File>, lines: u64) -> io::Result<Vec<File>> {
    let (mut left, mut kept) = (lines, Vec::new());
    for mut file in files.into_iter().rev() {
        let (start, found) = tail(&mut file, left)?;
        file.seek(SeekFrom::Start(start))?;
        left -= found.min(left);
        kept.push(file);
        if left == 0 {
            break;
        }
    }
    kept.reverse();
    Ok(kept)
}

/// Where the last `lines` records of a file begin, and how many there are of them. A record that is still being
/// written counts with the one before it.
fn tail<F: Read + Seek>(file: &mut F, lines: u64) -> io::Result<(u64, u64)> {
    let mut right = file.seek(SeekFrom::End(0))?;
    let mut ends = 0;
    while right > 0 {
        let left = right.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(right - left).unwrap_or_default()];
        file.seek(SeekFrom::Start(left))?;
        file.read_exact(&mut block)?;
        for at in (0..block.len()).rev().filter(|at| block[*at] == b'\n') {
            if ends == lines {
                return Ok((left + at as u64 + 1, lines));
            }
            ends += 1;
        }
        right = left;
    }
    Ok((0, ends))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, future::BoxFuture};
    use std::{collections::VecDeque, io::Cursor, io::Write};

    #[test]
    fn the_tail_begins_after_the_line_before_it() {
        let long = format!("{}\n", "x".repeat(40_000));
        let cases = [
            ("the last of three", "a\nb\nc\n".to_owned(), 1, (4, 1)),
            ("all of three", "a\nb\nc\n".to_owned(), 3, (0, 3)),
            ("more than there are", "a\nb\nc\n".to_owned(), 9, (0, 3)),
            ("none", "a\nb\nc\n".to_owned(), 0, (6, 0)),
            ("a half line counts with the one before", "a\nb\nhal".to_owned(), 1, (2, 1)),
            ("an empty file", String::new(), 5, (0, 0)),
            ("lines longer than a block", format!("a\n{long}{long}"), 2, (2, 2)),
        ];
        for (name, text, lines, want) in cases {
            assert_eq!(tail(&mut Cursor::new(text), lines).unwrap(), want, "{name}");
        }
    }

    /// Changes as a test has them happen.
    #[derive(Debug)]
    struct Scripted(VecDeque<Change>);

    impl Changes for Scripted {
        fn next(&mut self) -> BoxFuture<'_, Change> {
            async move { self.0.pop_front().unwrap_or(Change::Lost) }.boxed()
        }
    }

    fn record(text: &str) -> String {
        format!("2026-11-21T12:00:00Z stdout F {text}\n")
    }

    fn file(records: &[&str]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        records.iter().for_each(|text| file.write_all(record(text).as_bytes()).unwrap());
        file.seek(SeekFrom::Start(0)).unwrap();
        file
    }

    async fn printed(files: Vec<File>, changes: Vec<Change>, options: LogOptions) -> String {
        let (sender, mut receiver) = mpsc::channel(4);
        let log = OpenLog { files, is_growing: true, changes: Box::new(Scripted(changes.into())) };
        let printing = actix::spawn(print(log, options, sender));
        let mut text = Vec::new();
        while let Some(piece) = receiver.recv().await {
            text.extend_from_slice(&piece);
        }
        printing.await.unwrap();
        String::from_utf8(text).unwrap()
    }

    #[actix::test]
    async fn a_rotated_log_is_one_log() {
        let all = LogOptions::default();
        let tail = |lines| LogOptions { tail: Some(lines), ..all };
        let cases = [
            ("everything", all, "1\n2\n3\n4\n"),
            ("the tail within the live file", tail(1), "4\n"),
            ("the tail over both files", tail(3), "2\n3\n4\n"),
            ("more than there is", tail(9), "1\n2\n3\n4\n"),
            ("none", tail(0), ""),
        ];
        for (name, options, want) in cases {
            let files = vec![file(&["1", "2"]), file(&["3", "4"])];
            assert_eq!(printed(files, Vec::new(), options).await, want, "{name}");
        }
    }

    #[actix::test]
    async fn following_goes_over_into_the_new_file_and_ends_with_the_container() {
        let follow = LogOptions { follow: true, tail: Some(1), ..LogOptions::default() };
        let changes = vec![Change::Grown, Change::Rotated(file(&["3"])), Change::Ended];
        assert_eq!(printed(vec![file(&["1", "2"])], changes, follow).await, "2\n3\n");
    }

    #[actix::test]
    async fn a_reader_that_leaves_ends_the_following() {
        let (sender, receiver) = mpsc::channel(4);
        #[derive(Debug)]
        struct Never;
        impl Changes for Never {
            fn next(&mut self) -> BoxFuture<'_, Change> {
                std::future::pending().boxed()
            }
        }
        let log = OpenLog { files: vec![file(&["1"])], is_growing: true, changes: Box::new(Never) };
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let printing = actix::spawn(print(log, options, sender));
        drop(receiver);
        printing.await.unwrap();
    }
}

//! How an error is written to a log: once, with everything that led to it.

use std::error::Error;

/// The error and all its sources, joined by `: `. Our own errors never print their source, so that
/// nothing stands twice.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not do it")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn every_link_stands_once() {
        let error = Outer(std::io::Error::other("the disk is full"));
        assert_eq!(chain(&error), "could not do it: the disk is full");
    }
}

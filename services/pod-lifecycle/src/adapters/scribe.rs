//! Writes journal entries behind everybody's back: a write may have to wait for a busy disk, and one
//! thread does everything else. Of each entry only the newest is written.

use chassis::{Journal, error};
use serde::Serialize;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};
use tokio::{sync::Notify, task::spawn_blocking};
use tracing::error;

/// Takes entries. Cheap to clone.
#[derive(Debug)]
pub struct Scribe<T> {
    shared: Rc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    journal: Journal,
    /// What is to be written; nothing where it is to be removed.
    pending: RefCell<BTreeMap<String, Option<T>>>,
    is_writing: Cell<bool>,
    more: Notify,
    idle: Notify,
}

impl<T> Clone for Scribe<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T: Serialize + Send + 'static> Scribe<T> {
    /// Begins to write. Must be called inside an actix system.
    pub fn begin(journal: Journal) -> Self {
        let shared = Rc::new(Shared {
            journal,
            pending: RefCell::default(),
            is_writing: Cell::default(),
            more: Notify::new(),
            idle: Notify::new(),
        });
        actix::spawn(write(shared.clone()));
        Self { shared }
    }

    /// Has an entry written.
    pub fn save(&self, name: &str, value: T) {
        self.order(name, Some(value));
    }

    /// Has an entry removed.
    pub fn remove(&self, name: &str) {
        self.order(name, None);
    }

    fn order(&self, name: &str, value: Option<T>) {
        self.shared.pending.borrow_mut().insert(name.to_owned(), value);
        self.shared.more.notify_one();
    }

    /// Returns once everything ordered so far is written.
    pub async fn flush(&self) {
        loop {
            let idle = self.shared.idle.notified();
            if self.shared.pending.borrow().is_empty() && !self.shared.is_writing.get() {
                return;
            }
            idle.await;
        }
    }
}

async fn write<T: Serialize + Send + 'static>(shared: Rc<Shared<T>>) {
    loop {
        let batch = std::mem::take(&mut *shared.pending.borrow_mut());
        if batch.is_empty() {
            shared.is_writing.set(false);
            shared.idle.notify_waiters();
            shared.more.notified().await;
            continue;
        }
        shared.is_writing.set(true);
        let journal = shared.journal.clone();
        // Fails only when the process is going down.
        let _ = spawn_blocking(move || write_all(&journal, &batch)).await;
    }
}

fn write_all<T: Serialize>(journal: &Journal, batch: &BTreeMap<String, Option<T>>) {
    for (name, value) in batch {
        let written = match value {
            Some(value) => journal.jot(name, value),
            None => journal.remove(name),
        };
        if let Err(failure) = written {
            error!(name, error = error::chain(&failure), "the journal could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn what_was_ordered_last_is_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let scribe = Scribe::begin(journal.clone());
        for value in 0..100 {
            scribe.save("pods/a", value);
            scribe.save("pods/b", value);
        }
        scribe.remove("pods/b");
        scribe.flush().await;
        assert_eq!(journal.load::<i32>("pods/a").unwrap(), Some(99));
        assert_eq!(journal.load::<i32>("pods/b").unwrap(), None);
        scribe.flush().await;
    }
}

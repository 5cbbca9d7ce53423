//! What an earlier life has left: taken from the journal, as far as it still stands.

use super::Pods;
use crate::{
    actors::pod::SayAgain,
    core::{mount_table, record::Record},
};
use actix::{AsyncContext, Context, Handler, Message, WrapFuture};
use chassis::error;
use messages::{PodUid, volume_mounter::Volumes};
use std::{collections::BTreeSet, fs, path::PathBuf};
use tracing::{error, info};

/// The journal's folder, one entry per pod.
pub(in crate::actors) const FOLDER: &str = "pods";

/// Bring back what is left, say it, and say that it is everything.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Restore;

impl Handler<Restore> for Pods {
    type Result = ();

    fn handle(&mut self, _: Restore, ctx: &mut Self::Context) {
        self.restore(ctx);
        let (bus, actors) = (self.service.bus.clone(), self.pods.values().cloned().collect::<Vec<_>>());
        let saying = async move {
            for actor in actors {
                // One that has nothing left to say is gone already.
                let _ = actor.send(SayAgain).await;
            }
            bus.complete::<Volumes>().await;
        };
        ctx.spawn(saying.into_actor(self));
    }
}

impl Pods {
    fn restore(&mut self, ctx: &mut Context<Self>) {
        let mounted = self.mounted();
        for mut record in self.records() {
            record.keep_standing(|path, is_mount| match is_mount {
                true => mounted.contains(path),
                // A path of the host is the host's business, and looking at it may hang.
                false => !path.starts_with(self.layout.pods()) || path.exists(),
            });
            self.actor(record, ctx);
        }
        self.tell_of_strangers();
    }

    fn mounted(&self) -> BTreeSet<PathBuf> {
        match self.tools.mounter.table() {
            Ok(table) => mount_table::mount_points(&table).into_iter().collect(),
            Err(failure) => {
                error!(error = error::chain(&failure), "the table of mounts can't be read");
                BTreeSet::new()
            }
        }
    }

    fn records(&self) -> Vec<Record> {
        let journal = &self.service.journal;
        let names = journal.names(FOLDER).unwrap_or_else(|failure| {
            error!(error = error::chain(&failure), "the journal can't be listed");
            Vec::new()
        });
        let read = |name: &String| {
            journal.load::<Record>(name).unwrap_or_else(|failure| {
                error!(error = error::chain(&failure), "a journal entry can't be read");
                None
            })
        };
        names.iter().filter_map(read).collect()
    }

    /// Folders that this service has not made are left: they may be a stock kubelet's, whose pods are
    /// about to be taken over.
    fn tell_of_strangers(&self) {
        let Ok(entries) = fs::read_dir(self.layout.pods()) else { return };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let is_ours = |name: &String| name.parse().is_ok_and(|uid: PodUid| self.pods.contains_key(&uid));
        let count = names.filter(|name| !is_ours(name)).count();
        if count > 0 {
            info!(count, "folders of pods that this service has not made");
        }
    }
}

//! systemd, asked over D-Bus for the slices that pods' cgroups are where it manages them.
//!
//! A cgroup that systemd does not know is not safe from it: the first scope in it makes it a slice, with the sizes that
//! systemd gives to slices of which it was told nothing. [`crate::core::cgroup`] knows which properties stand for which
//! sizes.

use futures::StreamExt;
use std::time::Duration;
use tokio::{sync::Mutex, time::timeout};
use zbus::{
    Connection,
    zvariant::{OwnedObjectPath, Value},
};

/// How long systemd may take with one slice: as long as upstream waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a new job does with others about the same unit.
const REPLACE: &str = "replace";

/// A property of a unit.
pub type Property<'v> = (&'v str, Value<'v>);

/// systemd. Connects at the first question, and again when the connection was lost.
#[derive(Debug, Default)]
pub struct Systemd {
    manager: Mutex<Option<ManagerProxy<'static>>>,
}

/// Why a slice is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// No bus, or no systemd on it.
    #[error("systemd cannot be reached on the system's bus: is dbus installed and running?")]
    Away(#[source] Box<zbus::Error>),
    /// It said no, or was lost.
    #[error("systemd did not {deed} {unit}")]
    Refused {
        /// Begin, set or stop.
        deed: &'static str,
        /// Which.
        unit: String,
        /// Why not.
        #[source]
        source: Box<zbus::Error>,
    },
    /// The job ended otherwise than done.
    #[error("systemd's job for {unit} ended as {result}")]
    Job {
        /// Which.
        unit: String,
        /// systemd's word for it: `failed`, `timeout`, `canceled`.
        result: String,
    },
    /// No answer in time.
    #[error("systemd took too long with {unit}")]
    Late {
        /// Which.
        unit: String,
    },
}

/// The part of `org.freedesktop.systemd1(5)` that slices need.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1",
    gen_blocking = false
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;

    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Value<'_>)],
        others: &[(&str, &[(&str, Value<'_>)])],
    ) -> zbus::Result<OwnedObjectPath>;

    fn set_unit_properties(
        &self,
        name: &str,
        until_reboot: bool,
        properties: &[(&str, Value<'_>)],
    ) -> zbus::Result<()>;

    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String) -> zbus::Result<()>;
}

impl Systemd {
    /// Makes a slice with these properties, or sets them where it is there already.
    ///
    /// # Errors
    /// See [`SystemdError`].
    pub async fn ensure(&self, unit: &str, properties: &[Property<'_>]) -> Result<(), SystemdError> {
        let manager = self.manager().await?;
        let start = || manager.start_transient_unit(unit, REPLACE, properties, &[]);
        match finished(&manager, unit, "begin", start).await {
            Err(SystemdError::Refused { source, .. }) if is(&source, "UnitExists") => {
                let settable: Vec<Property<'_>> =
                    properties.iter().filter(|it| is_settable(it)).cloned().collect();
                self.set(unit, &settable).await
            }
            other => other,
        }
    }

    /// Sets properties of a slice that is there.
    ///
    /// # Errors
    /// See [`SystemdError`].
    pub async fn set(&self, unit: &str, properties: &[Property<'_>]) -> Result<(), SystemdError> {
        let manager = self.manager().await?;
        let set = manager.set_unit_properties(unit, true, properties);
        let set = timeout(PATIENCE, set).await.map_err(|_| SystemdError::Late { unit: unit.to_owned() })?;
        set.map_err(|refusal| refused("set", unit, refusal))
    }

    /// Lets systemd forget a slice, and end what is left in it. One that it does not know is fine.
    ///
    /// # Errors
    /// See [`SystemdError`].
    pub async fn stop(&self, unit: &str) -> Result<(), SystemdError> {
        let manager = self.manager().await?;
        let stopped = finished(&manager, unit, "stop", || manager.stop_unit(unit, REPLACE)).await;
        // A slice whose scope failed would be kept for somebody to look at; where none failed it says no.
        let _ = manager.reset_failed_unit(unit).await;
        match stopped {
            Err(SystemdError::Refused { source, .. }) if is(&source, "NoSuchUnit") => Ok(()),
            other => other,
        }
    }

    async fn manager(&self) -> Result<ManagerProxy<'static>, SystemdError> {
        let mut known = self.manager.lock().await;
        if let Some(manager) = known.as_ref().filter(|manager| !manager.inner().connection().is_closed()) {
            return Ok(manager.clone());
        }
        let manager = connect().await.map_err(|error| SystemdError::Away(Box::new(error)))?;
        Ok(known.insert(manager).clone())
    }
}

async fn connect() -> zbus::Result<ManagerProxy<'static>> {
    let connection = Connection::system().await?;
    let manager = ManagerProxy::new(&connection).await?;
    // Without it systemd tells nobody that a job has ended.
    manager.subscribe().await?;
    Ok(manager)
}

/// Asks for a job and waits until it has ended.
async fn finished(
    manager: &ManagerProxy<'static>,
    unit: &str,
    deed: &'static str,
    ask: impl AsyncFnOnce() -> zbus::Result<OwnedObjectPath>,
) -> Result<(), SystemdError> {
    let refused = |refusal| refused(deed, unit, refusal);
    let work = async {
        // Listened for first: the job may have ended before its name is known here.
        let mut ended = manager.receive_job_removed().await.map_err(refused)?;
        let job = ask().await.map_err(refused)?;
        while let Some(signal) = ended.next().await {
            let about = signal.args().map_err(refused)?;
            match about.result.as_str() {
                _ if about.job != job => {}
                "done" | "skipped" => return Ok(()),
                result => {
                    return Err(SystemdError::Job { unit: unit.to_owned(), result: result.to_owned() });
                }
            }
        }
        Err(refused(zbus::Error::Failure("the connection was lost".to_owned())))
    };
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(SystemdError::Late { unit: unit.to_owned() }))
}

fn refused(deed: &'static str, unit: &str, refusal: zbus::Error) -> SystemdError {
    SystemdError::Refused { deed, unit: unit.to_owned(), source: Box::new(refusal) }
}

/// Whether systemd said no for this reason.
fn is(error: &zbus::Error, reason: &str) -> bool {
    matches!(error, zbus::Error::MethodError(name, ..)
        if name.as_str().strip_prefix("org.freedesktop.systemd1.") == Some(reason))
}

/// What a slice is born with can't be changed later: its dependencies and its description.
fn is_settable((name, _): &Property<'_>) -> bool {
    !matches!(*name, "Wants" | "DefaultDependencies" | "Description")
}

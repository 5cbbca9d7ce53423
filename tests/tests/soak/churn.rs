//! Pods that come and go: from the API server and from manifests, with what pods have.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use serde_json::json;
use tests::namespace::Namespace;
use tests::wait;
use tests::ward::Ward;

/// Pods at a time, beyond which they only go.
const MOST: usize = 12;
/// How long a pod may take to be what it should be, or to go, once all is calm.
const SETTLING: Duration = Duration::from_secs(120);

/// What becomes of a pod that is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is ready.
    Ready,
    /// It succeeds.
    Succeeds,
    /// It never comes to rest.
    Restless,
}

struct Kind {
    name: &'static str,
    fate: Fate,
    spec: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "plain",
        fate: Fate::Ready,
        spec: r#"{ nodeName: node-1, containers: [{ name: app, command: [sleep, "3600"] }] }"#,
    },
    Kind {
        name: "furnished",
        fate: Fate::Ready,
        spec: r#"
            nodeName: node-1
            securityContext: { fsGroup: 2000 }
            initContainers:
            - name: first
              command: [sh, -c, "echo well > /data/said"]
              volumeMounts: [{ name: data, mountPath: /data }]
            containers:
            - name: app
              command: [sh, -c, "grep -q blue /settings/colour && exec sleep 3600"]
              env: [{ name: WORD, valueFrom: { secretKeyRef: { name: words, key: pass } } }]
              volumeMounts:
              - { name: data, mountPath: /data }
              - { name: data, mountPath: /part, subPath: part }
              - { name: settings, mountPath: /settings }
              - { name: words, mountPath: /words }
              - { name: self, mountPath: /self }
            - name: second
              command: [sleep, "3600"]
            volumes:
            - { name: data, emptyDir: { medium: Memory } }
            - { name: settings, configMap: { name: settings } }
            - { name: words, secret: { secretName: words } }
            - { name: self, downwardAPI: { items: [{ path: name, fieldRef: { fieldPath: metadata.name } }] } }
        "#,
    },
    Kind {
        name: "probed",
        fate: Fate::Ready,
        spec: r#"
            nodeName: node-1
            containers:
            - name: app
              command: [httpd, -f, -p, "8080"]
              startupProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1, failureThreshold: 30 }
              livenessProbe: { httpGet: { path: /etc/passwd, port: 8080 }, periodSeconds: 1 }
              readinessProbe: { exec: { command: ["true"] }, periodSeconds: 1 }
        "#,
    },
    Kind {
        name: "hooked",
        fate: Fate::Ready,
        spec: r#"
            nodeName: node-1
            terminationGracePeriodSeconds: 3
            containers:
            - name: app
              command: [sleep, "3600"]
              lifecycle: { preStop: { exec: { command: [sleep, "1"] } } }
        "#,
    },
    Kind {
        name: "brief",
        fate: Fate::Succeeds,
        spec: r#"
            nodeName: node-1
            restartPolicy: OnFailure
            containers: [{ name: app, command: [sleep, "1"] }]
        "#,
    },
    Kind {
        name: "crashing",
        fate: Fate::Restless,
        spec: r#"{ nodeName: node-1, containers: [{ name: app, command: [sh, -c, "sleep 1; exit 1"] }] }"#,
    },
];

/// A pod that is there.
struct Alive {
    fate: Fate,
    /// Of a static pod.
    manifest: Option<PathBuf>,
}

/// The pods that come and go.
pub(crate) struct Churn {
    home: Namespace,
    alive: BTreeMap<String, Alive>,
    made: u32,
}

impl Churn {
    /// None yet.
    pub(crate) fn begin(ward: &Ward) -> Result<Self> {
        ward.plane.namespace("soak")?;
        let home = Namespace::new(ward.plane.kubectl(), "soak");
        home.kubectl(&["create", "configmap", "settings", "--from-literal=colour=blue"])?;
        home.kubectl(&["create", "secret", "generic", "words", "--from-literal=pass=sesame"])?;
        Ok(Self { home, alive: BTreeMap::new(), made: 0 })
    }

    /// One comes or goes.
    pub(crate) fn turn(&mut self, ward: &Ward, dice: &mut StdRng) -> Result<()> {
        let is_full = self.alive.len() >= MOST;
        match self.alive.keys().choose(dice).cloned() {
            Some(name) if is_full || dice.random_bool(0.4) => self.go(&name),
            _ if dice.random_bool(0.2) => self.come_as_manifest(ward),
            _ => self.come(KINDS.choose(dice).context("there are kinds")?),
        }
    }

    fn come(&mut self, kind: &Kind) -> Result<()> {
        self.made += 1;
        let name = format!("{}-{}", kind.name, self.made);
        self.home.run(&name, kind.spec)?;
        self.alive.insert(name, Alive { fate: kind.fate, manifest: None });
        Ok(())
    }

    fn come_as_manifest(&mut self, ward: &Ward) -> Result<()> {
        self.made += 1;
        let name = format!("static-{}", self.made);
        let app = json!({ "name": "app", "image": tests::containerd::BUSYBOX, "command": ["sleep", "3600"] });
        let spec = json!({ "terminationGracePeriodSeconds": 1, "containers": [app] });
        let metadata = json!({ "name": name, "namespace": self.home.name() });
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
        let file = ward.node.manifests().join(format!("{name}.json"));
        fs::write(&file, pod.to_string())?;
        self.alive.insert(format!("{name}-node-1"), Alive { fate: Fate::Ready, manifest: Some(file) });
        Ok(())
    }

    fn go(&mut self, name: &str) -> Result<()> {
        match self.alive.remove(name).and_then(|gone| gone.manifest) {
            Some(file) => Ok(fs::remove_file(file)?),
            None => self.home.kubectl(&["delete", "pod", name, "--wait=false"]).map(drop),
        }
    }

    /// Takes away what never comes to rest, and waits until every other pod is what it should be.
    pub(crate) fn settle(&mut self, ward: &Ward) -> Result<()> {
        let restless = self.alive.iter().filter(|(_, it)| it.fate == Fate::Restless);
        for name in restless.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.go(&name)?;
        }
        wait::until("every pod that is left, and no other", SETTLING, || self.is_settled(ward))
    }

    fn is_settled(&self, ward: &Ward) -> Result<()> {
        let list = ward.plane.kubectl().get(&["--namespace", self.home.name(), "pods"])?;
        let pods = list["items"].as_array().context("no list of pods")?;
        let found: BTreeMap<&str, _> =
            pods.iter().filter_map(|pod| Some((pod["metadata"]["name"].as_str()?, &pod["status"]))).collect();
        for (name, alive) in &self.alive {
            let status = found.get(name.as_str()).with_context(|| format!("there is no {name}"))?;
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let ready = conditions.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True");
            let is_so = if alive.fate == Fate::Ready { ready } else { status["phase"] == "Succeeded" };
            ensure!(is_so, "{name} is {status}");
        }
        let other = found.keys().find(|name| !self.alive.contains_key(**name));
        ensure!(other.is_none(), "{other:?} is still there");
        Ok(())
    }

    /// All go.
    pub(crate) fn end(&mut self, ward: &Ward) -> Result<()> {
        for name in self.alive.keys().cloned().collect::<Vec<_>>() {
            self.go(&name)?;
        }
        wait::until("no pod any more", SETTLING, || self.is_settled(ward))
    }
}

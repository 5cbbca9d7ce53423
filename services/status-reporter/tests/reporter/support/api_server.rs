//! An API server that keeps what it is told, behind a socket as api-gate's: objects, watches, and just enough
//! of strategic merges and preconditions for what the reporter writes. It can be away.

use bytes::Bytes;
use futures::channel::mpsc;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{cell::RefCell, collections::BTreeMap, convert::Infallible, fs, path::Path, rc::Rc};
use tokio::net::UnixListener;

type Lines = mpsc::UnboundedReceiver<Result<Frame<Bytes>, Infallible>>;
type Watch = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;
type Body = Either<Full<Bytes>, StreamBody<Lines>>;

/// The server; it serves until the test's system ends.
#[derive(Clone)]
pub(crate) struct ApiServer(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// By `resource/name`.
    objects: BTreeMap<String, Value>,
    /// By resource.
    watches: Vec<(String, Watch)>,
    version: u64,
    /// Requests that changed something, as `METHOD resource/name[/subresource]`.
    writes: Vec<String>,
    away: bool,
}

impl ApiServer {
    pub(crate) async fn start(socket: &Path) -> Self {
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        let server = Self(Rc::default());
        let serving = server.clone();
        actix::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = serving.clone();
                let service = service_fn(move |request| answer(server.clone(), request));
                actix::spawn(async move {
                    let io = TokioIo::new(stream);
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
                });
            }
        });
        server
    }

    /// The object at `resource/name`.
    pub(crate) fn object(&self, at: &str) -> Option<Value> {
        self.0.borrow().objects.get(at).cloned()
    }

    /// The value at a JSON pointer of an object, or `null`.
    pub(crate) fn value(&self, at: &str, pointer: &str) -> Value {
        self.object(at).and_then(|object| object.pointer(pointer).cloned()).unwrap_or_default()
    }

    /// All objects of a resource.
    pub(crate) fn all(&self, resource: &str) -> Vec<Value> {
        let state = self.0.borrow();
        let of = state.objects.iter().filter(|(at, _)| at.starts_with(&format!("{resource}/")));
        of.map(|(_, object)| object.clone()).collect()
    }

    /// Requests that changed something, and hold this text.
    pub(crate) fn writes(&self, with: &str) -> Vec<String> {
        self.0.borrow().writes.iter().filter(|write| write.contains(with)).cloned().collect()
    }

    /// Somebody else puts an object there.
    pub(crate) fn put(&self, at: &str, object: Value) {
        self.0.borrow_mut().put(at, object);
    }

    /// Somebody else changes an object.
    pub(crate) fn change(&self, at: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.object(at).unwrap();
        change(&mut object);
        self.put(at, object);
    }

    /// Somebody else takes an object away.
    pub(crate) fn take(&self, at: &str) {
        self.0.borrow_mut().take(at);
    }

    /// Every request is refused, and every watch broken off, until it is back.
    pub(crate) fn away(&self, away: bool) {
        let mut state = self.0.borrow_mut();
        state.away = away;
        state.watches.clear();
    }
}

impl State {
    fn put(&mut self, at: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        }
        let kind =
            if self.objects.insert(at.to_owned(), object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        self.tell(at, kind, &object);
        object
    }

    fn take(&mut self, at: &str) -> Option<Value> {
        let mut object = self.objects.remove(at)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.tell(at, "DELETED", &object);
        Some(object)
    }

    fn tell(&mut self, at: &str, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        let concerns = |resource: &str| at.split('/').next() == Some(resource);
        self.watches.retain(|(resource, watch)| {
            !concerns(resource) || watch.unbounded_send(Ok(Frame::data(line.clone().into()))).is_ok()
        });
    }

    fn list(&self, resource: &str) -> Value {
        let prefix = format!("{resource}/");
        let items: Vec<&Value> =
            self.objects.iter().filter(|(at, _)| at.starts_with(&prefix)).map(|(_, object)| object).collect();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": self.version.to_string()}, "items": items})
    }

    fn watch(&mut self, resource: &str) -> Lines {
        let (sender, receiver) = mpsc::unbounded();
        self.watches.push((resource.to_owned(), sender));
        receiver
    }

    fn write(&mut self, method: &Method, path: &Asked, body: Value) -> (StatusCode, Value) {
        let at = match &path.name {
            Some(name) => format!("{}/{name}", path.resource),
            None => format!("{}/{}", path.resource, body["metadata"]["name"].as_str().unwrap()),
        };
        let sub = path.subresource.as_ref().map(|sub| format!("/{sub}")).unwrap_or_default();
        self.writes.push(format!("{method} {at}{sub}"));
        let known = self.objects.get(&at).cloned();
        match (method.as_str(), known) {
            ("POST", None) => (StatusCode::CREATED, self.put(&at, body)),
            ("POST", Some(_)) => refusal(StatusCode::CONFLICT, "AlreadyExists", "it exists"),
            (_, None) => refusal(StatusCode::NOT_FOUND, "NotFound", "there is none"),
            ("DELETE", Some(known)) if is_other(&body["preconditions"], &known) => refusal(
                StatusCode::CONFLICT,
                "Conflict",
                "Precondition failed: UID in precondition: a, UID in object meta: b",
            ),
            ("DELETE", Some(_)) => (StatusCode::OK, self.take(&at).unwrap()),
            ("PATCH", Some(known)) if is_other(&body["metadata"], &known) => immutable_uid(),
            ("PATCH", Some(mut known)) => {
                merge(&mut known, body);
                (StatusCode::OK, self.put(&at, known))
            }
            _ => (StatusCode::OK, self.put(&at, body)),
        }
    }
}

fn is_other(meant: &Value, known: &Value) -> bool {
    !meant["uid"].is_null() && meant["uid"] != known["metadata"]["uid"]
}

fn immutable_uid() -> (StatusCode, Value) {
    let (code, mut body) = refusal(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "field is immutable");
    let cause =
        json!({"reason": "FieldValueInvalid", "message": "field is immutable", "field": "metadata.uid"});
    body["details"] = json!({"causes": [cause]});
    (code, body)
}

fn refusal(code: StatusCode, reason: &str, message: &str) -> (StatusCode, Value) {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "message": message, "code": code.as_u16(),
    });
    (code, body)
}

/// A strategic merge: conditions by their type, other lists and whatever says so are replaced.
fn merge(known: &mut Value, patch: Value) {
    match (known, patch) {
        (Value::Object(known), Value::Object(patch)) => {
            for (name, value) in patch {
                match (name.as_str(), value) {
                    (_, Value::Null) => drop(known.remove(&name)),
                    ("conditions", Value::Array(patch)) => {
                        merge_conditions(known.entry(name).or_insert(json!([])), patch)
                    }
                    (_, value) => merge(known.entry(name).or_insert(Value::Null), value),
                }
            }
        }
        (known, Value::Array(mut items)) => {
            items.retain(|item| item["$patch"].is_null());
            *known = items.into();
        }
        (known, value) => *known = value,
    }
}

fn merge_conditions(known: &mut Value, patch: Vec<Value>) {
    let known = known.as_array_mut().unwrap();
    for item in patch {
        let place = known.iter().position(|condition| condition["type"] == item["type"]);
        match (item["$patch"] == "delete", place) {
            (true, place) => drop(place.map(|place| known.remove(place))),
            (false, Some(place)) => merge(&mut known[place], item),
            (false, None) => known.push(item),
        }
    }
}

/// A request's path.
struct Asked {
    resource: String,
    name: Option<String>,
    subresource: Option<String>,
    watch: bool,
}

fn read(request: &Request<Incoming>) -> Asked {
    let path = request
        .uri()
        .path()
        .trim_start_matches("/api/v1/")
        .trim_start_matches("/apis/coordination.k8s.io/v1/");
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts[0] == "namespaces" {
        parts.drain(..2);
    }
    let part = |at: usize| parts.get(at).map(|part| (*part).to_owned());
    let watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
    Asked { resource: part(0).unwrap(), name: part(1), subresource: part(2), watch }
}

async fn answer(server: ApiServer, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (asked, method) = (read(&request), request.method().clone());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut state = server.0.borrow_mut();
    if state.away {
        return Ok(json_response(refusal(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "away")));
    }
    if asked.watch {
        let lines = state.watch(&asked.resource);
        return Ok(Response::new(Either::Right(StreamBody::new(lines))));
    }
    Ok(json_response(match (&method, &asked.name) {
        (&Method::GET, None) => (StatusCode::OK, state.list(&asked.resource)),
        (&Method::GET, Some(name)) => match state.objects.get(&format!("{}/{name}", asked.resource)) {
            Some(object) => (StatusCode::OK, object.clone()),
            None => refusal(StatusCode::NOT_FOUND, "NotFound", "there is none"),
        },
        _ => state.write(&method, &asked, body),
    }))
}

fn json_response((status, body): (StatusCode, Value)) -> Response<Body> {
    let body = Either::Left(Full::from(body.to_string()));
    Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

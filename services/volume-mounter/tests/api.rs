//! The API adapter before a scripted server: what is asked, and how answers are understood.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;
use tower::service_fn;
use volume_mounter::{
    adapters::api::Api,
    core::{
        path::RelativePath,
        reference::{Kind, Reference},
        volume::Token,
    },
    ports::{Bearer, Denied, Objects},
};

type Asked = Arc<Mutex<Vec<(Method, String, Value)>>>;

/// An API server that answers each path with a status and a body.
fn server(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> (Api, Asked) {
    let asked = Asked::default();
    let (answer, kept) = (Arc::new(answer), asked.clone());
    let service = service_fn(move |request: Request<Body>| {
        let (answer, kept) = (answer.clone(), kept.clone());
        async move {
            let (head, body) = request.into_parts();
            let path = head.uri.path_and_query().unwrap().to_string();
            let body = body.collect_bytes().await.unwrap();
            kept.lock().unwrap().push((
                head.method,
                path.clone(),
                serde_json::from_slice(&body).unwrap_or_default(),
            ));
            let (status, body) = answer(&path);
            let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
            Ok::<_, Infallible>(response.body(Body::from(body.into_bytes())).unwrap())
        }
    });
    (Api::new(Some(Client::new(service, "default"))), asked)
}

fn status(code: u16, message: &str) -> (u16, String) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message, "reason": "x",
    });
    (code, status.to_string())
}

fn reference(kind: Kind, name: &str) -> Reference {
    Reference { kind, namespace: "shop".into(), name: name.into() }
}

#[actix::test]
async fn objects_are_read_with_all_their_keys() {
    let (api, asked) = server(|path| {
        match path {
        "/api/v1/namespaces/shop/configmaps/settings" => (200, json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings", "resourceVersion": "7" },
            "data": { "colour": "red" }, "binaryData": { "logo": "AAE=" }, "immutable": true,
        }).to_string()),
        "/api/v1/namespaces/shop/secrets/password" => (200, json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "password", "resourceVersion": "8" },
            "data": { "word": "aHVudGVyMg==" },
        }).to_string()),
        other => panic!("{other}"),
    }
    });
    let map = api.object(&reference(Kind::ConfigMap, "settings")).await.unwrap();
    assert_eq!((map.version.as_str(), map.object.immutable), ("7", true));
    assert_eq!(map.object.data["colour"], b"red");
    assert_eq!(map.object.data["logo"], [0, 1]);
    let secret = api.object(&reference(Kind::Secret, "password")).await.unwrap();
    assert_eq!((secret.object.data["word"].as_slice(), secret.object.immutable), (&b"hunter2"[..], false));
    assert!(asked.lock().unwrap().iter().all(|(method, _, _)| method == Method::GET));
}

#[actix::test]
async fn denials_are_told_apart() {
    let forbidden = "secrets \"x\" is forbidden: no relationship found";
    let cases = [
        (404, "secrets \"x\" not found", Denied::NotFound),
        (403, forbidden, Denied::Forbidden(forbidden.into())),
        (422, "no such audience", Denied::Failed("no such audience".into())),
        (429, "too many requests", Denied::Away("too many requests".into())),
        (500, "etcd is away", Denied::Away("etcd is away".into())),
    ];
    for (code, message, want) in cases {
        let (api, _) = server(move |_| status(code, message));
        assert_eq!(api.object(&reference(Kind::Secret, "x")).await, Err(want), "{code}");
    }
    let standalone = Api::new(None);
    assert_eq!(standalone.object(&reference(Kind::Secret, "x")).await, Err(Denied::Standalone));
}

#[actix::test]
async fn a_token_is_asked_for_in_the_pods_name() {
    let (api, asked) = server(|_| {
        let answer = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
            "spec": { "audiences": ["vault"], "expirationSeconds": 3607 },
            "status": { "token": "t", "expirationTimestamp": "1970-01-01T02:00:00Z" },
        });
        (201, answer.to_string())
    });
    let path = RelativePath::of_file("token").unwrap();
    let token = Token { path, audience: "vault".into(), lifetime: 3607 };
    let bearer = Bearer { namespace: "shop", account: "default", pod: "web", uid: "u-1" };

    let issued = api.token(bearer, &token).await.unwrap();

    assert_eq!((issued.token.as_slice(), issued.lifetime.as_secs()), (&b"t"[..], 3607));
    assert_eq!(issued.expires_at, 7_200_000_000_000);
    assert!(!format!("{issued:?}").contains("\"t\""), "a token is never printed");
    let asked = asked.lock().unwrap();
    let (method, path, body) = &asked[0];
    assert_eq!(
        (method, path.split('?').next().unwrap()),
        (&Method::POST, "/api/v1/namespaces/shop/serviceaccounts/default/token")
    );
    let bound = json!({ "apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "u-1" });
    let want = json!({ "audiences": ["vault"], "boundObjectRef": bound, "expirationSeconds": 3607 });
    assert_eq!(body["spec"], want);
}

#[actix::test]
async fn an_object_is_watched_alone_and_its_absence_is_told() {
    let object = |version: &str, value: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": { "colour": value },
            "metadata": { "name": "settings", "namespace": "shop", "resourceVersion": version },
        })
    };
    let listed = json!({
        "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": "5" },
        "items": [object("5", "red")],
    });
    let changes = [
        json!({ "type": "MODIFIED", "object": object("6", "blue") }),
        json!({ "type": "DELETED", "object": object("7", "blue") }),
    ];
    let changes: String = changes.iter().map(|change| format!("{change}\n")).collect();
    let (api, asked) = server(move |path| match path.contains("watch=true") {
        true => (200, changes.clone()),
        false => (200, listed.to_string()),
    });

    let told = api.watch(&reference(Kind::ConfigMap, "settings"));
    let told = timeout(Duration::from_secs(20), told.take(3).collect::<Vec<_>>()).await.unwrap();

    let values: Vec<_> = told
        .iter()
        .map(|known| {
            known.as_ref().map(|known| (known.version.as_str(), known.object.data["colour"].as_slice()))
        })
        .collect();
    assert_eq!(values, [Some(("5", &b"red"[..])), Some(("6", &b"blue"[..])), None]);
    let asked = asked.lock().unwrap();
    let alone = "fieldSelector=metadata.name%3Dsettings";
    assert!(asked.iter().all(|(_, path, _)| path.contains(alone)), "{asked:?}");
}

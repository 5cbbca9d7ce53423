//! Where images come from, and what a pod says when they do not come.

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::containerd::PAUSE;
use tests::namespace::Namespace;
use tests::registry;
use tests::scene::{Scene, Scenes};

static SCENES: Scenes = Scenes::new(|_| {});

fn play(name: &str, scenario: impl Fn(&Scene, &Namespace) -> Result<()>) -> Result<()> {
    SCENES.play(|scene| scenario(scene, &scene.namespace(name)?))
}

fn spec(image: &str, policy: &str) -> String {
    format!("containers: [{{ name: app, image: {image}, imagePullPolicy: {policy} }}]")
}

#[test]
fn an_image_is_pulled_from_the_registry() -> Result<()> {
    play("pulled", |scene, home| {
        let image = scene.publish(PAUSE, "hello:1")?;
        home.run("web", &spec(&image, "IfNotPresent"))?;
        let pod = home.ready("web")?;
        let id = pod["status"]["containerStatuses"][0]["imageID"].as_str().unwrap_or_default();
        ensure!(id.starts_with("registry.test/hello@sha256:"), "the image's id is {id:?}");
        ensure!(
            message(&home.event("web", "Pulling")?) == format!("Pulling image \"{image}\""),
            "wrong words"
        );
        let pulled = message(&home.event("web", "Pulled")?);
        ensure!(pulled.starts_with(&format!("Successfully pulled image \"{image}\" in ")), "{pulled:?}");
        ensure!(pulled.contains(" including waiting). Image size: "), "{pulled:?}");

        home.run("again", &spec(&image, "IfNotPresent"))?;
        home.ready("again")?;
        let present = message(&home.event("again", "Pulled")?);
        let wanted = format!("Container image \"{image}\" already present on machine");
        ensure!(present.starts_with(&wanted), "{present:?}");

        home.run("always", &spec(&image, "Always"))?;
        home.ready("always")?;
        home.event("always", "Pulling").map(drop)
    })
}

#[test]
fn a_missing_image_is_tried_again_with_back_off_until_it_is_there() -> Result<()> {
    play("missing", |scene, home| {
        scene.registry()?;
        let image = format!("{}/late:1", registry::HOST);
        home.run("web", &spec(&image, "IfNotPresent"))?;
        let waiting = home.waiting("web", "ErrImagePull")?;
        ensure!(message(&waiting).contains(&image) && message(&waiting).contains("not found"), "{waiting}");
        let waiting = home.waiting("web", "ImagePullBackOff")?;
        ensure!(message(&waiting).starts_with(&format!("Back-off pulling image \"{image}\"")), "{waiting}");
        let failed = message(&home.event("web", "Failed")?);
        ensure!(
            failed == "Error: ErrImagePull" || failed == "Error: ImagePullBackOff" || failed.contains(&image),
            "{failed:?}"
        );
        let back_off = message(&home.event("web", "BackOff")?);
        ensure!(back_off == format!("Back-off pulling image \"{image}\""), "{back_off:?}");
        ensure!(home.pod("web")?["status"]["phase"] == "Pending", "it is not Pending");
        scene.publish(PAUSE, "late:1")?;
        home.ready("web").map(drop)
    })
}

#[test]
fn an_image_that_may_never_be_pulled_has_to_be_there() -> Result<()> {
    play("never", |_, home| {
        home.run("web", &spec("registry.test/absent:1", "Never"))?;
        let waiting = home.waiting("web", "ErrImageNeverPull")?;
        let wanted = "Container image \"registry.test/absent:1\" is not present with pull policy of Never";
        ensure!(message(&waiting) == wanted, "{waiting}");
        ensure!(message(&home.event("web", "ErrImageNeverPull")?) == wanted, "the event differs");
        home.run(
            "present",
            r#"containers: [{ name: app, imagePullPolicy: Never, command: [sleep, "3600"] }]"#,
        )?;
        home.ready("present").map(drop)
    })
}

#[test]
fn an_image_name_that_is_none_is_told() -> Result<()> {
    play("invalid", |_, home| {
        home.run("web", &spec("\"Not An Image\"", "IfNotPresent"))?;
        let waiting = home.waiting("web", "InvalidImageName")?;
        let wanted = "Failed to apply default image tag \"Not An Image\": couldn't parse image name \"Not An Image\": \
                      invalid reference format";
        ensure!(message(&waiting).starts_with(wanted), "{waiting}");
        let failed = message(&home.event("web", "InspectFailed")?);
        ensure!(failed.starts_with("Failed to apply default image tag"), "{failed:?}");
        Ok(())
    })
}

fn message(of: &Value) -> String {
    of["message"].as_str().unwrap_or_default().to_owned()
}

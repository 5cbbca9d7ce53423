//! What a user sees of a container through the API server: its log and commands run in it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use tests::namespace::{Namespace, SOON};
use tests::scene::Scenes;
use tests::wait;

static SCENES: Scenes = Scenes::new(|_| {});

/// Between two lines of a log of which one is shown: far more than asking for the log takes.
const GAP: Duration = Duration::from_secs(5);

/// Plays a scenario with a pod `web` that has written five lines and sleeps.
fn play(name: &str, scenario: impl Fn(&Namespace) -> Result<()>) -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace(name)?;
        // The runtime reads each of the two streams for itself: what is written at once may be logged in either order.
        let line = "for i in 1 2 3 4; do echo line $i; done; sleep 1; echo complaint >&2; exec sleep 3600";
        home.run("web", &format!(r#"containers: [{{ name: app, command: [sh, -c, "{line}"] }}]"#))?;
        home.ready("web")?;
        wait::until("five lines", SOON, || {
            let shown = home.logs(&["web"])?;
            ensure!(shown.lines().count() == 5, "the log is {shown:?}");
            Ok(())
        })?;
        scenario(&home)
    })
}

#[test]
fn a_log_is_shown_whole_or_in_part() -> Result<()> {
    const CASES: &[(&str, &[&str], &str)] = &[
        ("both streams in the order of writing", &[], "line 1\nline 2\nline 3\nline 4\ncomplaint\n"),
        ("the last lines", &["--tail=2"], "line 4\ncomplaint\n"),
        ("no line at all", &["--tail=0"], ""),
        ("the first bytes", &["--limit-bytes=10"], "line 1\nlin"),
        ("what was written lately", &["--since=1h"], "line 1\nline 2\nline 3\nline 4\ncomplaint\n"),
        ("nothing is as new as that", &["--since-time=2100-01-01T00:00:00Z"], ""),
    ];
    play("log", |home| {
        for (sentence, arguments, wanted) in CASES {
            let shown = home.logs(&[&["web"], *arguments].concat())?;
            ensure!(shown == *wanted, "{sentence}: {shown:?}");
        }
        let stamped = home.logs(&["web", "--timestamps", "--tail=1"])?;
        let (moment, line) = stamped.split_once(' ').context("one word")?;
        ensure!(line == "complaint\n", "the line is {line:?}");
        moment.parse::<Timestamp>().with_context(|| format!("{moment} is no moment"))?;
        Ok(())
    })
}

#[test]
fn a_log_is_shown_from_a_moment_on() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("since")?;
        let script = "echo early; until [ -e /go ]; do sleep 0.1; done; echo late; exec sleep 3600";
        home.run("web", &format!(r#"containers: [{{ name: app, command: [sh, -c, "{script}"] }}]"#))?;
        home.ready("web")?;
        let early = wait::until("an early line of some age", SOON, || {
            let early = written(&home, "early")?;
            ensure!(age(early) >= GAP, "it is {:?} old", age(early));
            Ok(early)
        })?;
        home.exec("web", "app", &["touch", "/go"])?;
        let late = wait::until("the late line", SOON, || written(&home, "late"))?;
        let since = format!("--since={}s", age(early).as_secs());
        ensure!(home.logs(&["web", &since])? == "late\n", "{since} shows other lines");
        let from = format!("--since-time={}", Timestamp::from_second(late.as_second())?); // the API has whole seconds
        ensure!(home.logs(&["web", &from])? == "late\n", "{from} shows other lines");
        Ok(())
    })
}

/// When the pod wrote this line.
fn written(home: &Namespace, line: &str) -> Result<Timestamp> {
    let stamped = home.logs(&["web", "--timestamps"])?;
    let of_line = |each: &str| Some(each.strip_suffix(line)?.trim_end().to_owned());
    let moment = stamped.lines().find_map(of_line).with_context(|| format!("the log is {stamped:?}"))?;
    moment.parse().with_context(|| format!("{moment} is no moment"))
}

fn age(moment: Timestamp) -> Duration {
    Timestamp::now().duration_since(moment).unsigned_abs()
}

#[test]
fn a_log_is_followed_to_its_end() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("follow")?;
        let script = "echo first; until [ -e /go ]; do sleep 0.1; done; echo second; sleep 1; echo last";
        home.run(
            "web",
            &format!(
                r#"{{ restartPolicy: Never, containers: [{{ name: app, command: [sh, -c, "{script}"] }}] }}"#
            ),
        )?;
        home.ready("web")?;
        let mut follow = home.command(&["logs", "--follow", "web"])?;
        let mut follow = follow.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(follow.stdout.take().context("no output")?).lines();
        let mut next = || lines.next().context("the log ended early")?.context("reading the log");
        ensure!(next()? == "first", "another first line");
        home.exec("web", "app", &["touch", "/go"])?;
        ensure!(next()? == "second" && next()? == "last", "other lines");
        ensure!(lines.next().is_none(), "the log goes on");
        ensure!(follow.wait()?.success(), "following failed");
        Ok(())
    })
}

#[test]
fn the_log_of_the_life_before_is_kept() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("previous")?;
        home.run(
            "web",
            r#"
            volumes: [{ name: lives, emptyDir: {} }]
            containers:
            - name: app
              command: [sh, -c, "echo x >>/lives/all; echo life $(wc -l </lives/all); [ -e /lives/second ] && sleep 3600;
                touch /lives/second; exit 1"]
              volumeMounts: [{ name: lives, mountPath: /lives }]
            "#,
        )?;
        home.wait_for("web", "/status/containerStatuses/0/restartCount", 1)?;
        home.ready("web")?;
        ensure!(home.logs(&["web", "--previous"])? == "life 1\n", "the life before left another log");
        ensure!(home.logs(&["web"])? == "life 2\n", "this life has another log");
        Ok(())
    })
}

#[test]
fn a_log_that_is_not_there_is_refused_with_the_reason() -> Result<()> {
    play("no-log", |home| {
        let previous = refused(home.logs(&["web", "--previous"]))?;
        ensure!(
            previous.contains("previous terminated container \"app\" in pod \"web\" not found"),
            "{previous}"
        );
        let unknown = refused(home.logs(&["web", "--container", "nobody"]))?;
        ensure!(unknown.contains("container nobody is not valid for pod web"), "{unknown}");
        Ok(())
    })
}

#[test]
fn a_log_of_many_megabytes_arrives_whole() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("long-log")?;
        home.run(
            "web",
            r#"{ restartPolicy: Never, containers: [{ name: app, command: [sh, -c, "seq 1 500000; head -c 40000 /dev/zero | tr '\\0' x"] }] }"#,
        )?;
        home.phase("web", "Succeeded")?;
        let shown = home.logs(&["web"])?;
        ensure!(shown.lines().count() == 500_001, "there are {} lines", shown.lines().count());
        let last = shown.lines().last().unwrap_or_default();
        ensure!(last.len() == 40_000, "a long line became {} bytes", last.len());
        Ok(())
    })
}

#[test]
fn a_commands_output_and_exit_code_come_back() -> Result<()> {
    play("exec", |home| {
        let done = exec(home, &[], "echo out; echo err >&2; exit 42")?.output()?;
        ensure!(done.status.code() == Some(42), "the exit code is {:?}", done.status);
        ensure!(done.stdout == b"out\n", "the output is {:?}", String::from_utf8_lossy(&done.stdout));
        ensure!(
            done.stderr.starts_with(b"err\n"),
            "the errors are {:?}",
            String::from_utf8_lossy(&done.stderr)
        );
        let missing = home.exec("web", "app", &["/no/such/program"]);
        ensure!(missing.is_err(), "a program that is not there ran");
        Ok(())
    })
}

#[test]
fn a_command_is_given_input() -> Result<()> {
    play("exec-input", |home| {
        let input = "a line\n".repeat(50_000);
        let mut command = exec(home, &["--stdin"], "wc -l; echo bye")?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut pipe = child.stdin.take().context("no input")?;
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut pipe, input.as_bytes()));
        let done = child.wait_with_output()?;
        writer.join().ok().context("the writer panicked")??;
        let said = String::from_utf8(done.stdout)?;
        ensure!(said == "50000\nbye\n", "it says {said:?}");
        Ok(())
    })
}

#[test]
fn a_command_has_the_users_terminal() -> Result<()> {
    play("exec-terminal", |home| {
        // The size reaches the container after the command has begun.
        let line = "until [ \"$(stty size)\" = \"33 77\" ]; do sleep 0.1; done; tty; read word; echo I heard $word; exit 5";
        let mut command = on_a_terminal(&exec(home, &["--stdin", "--tty"], line)?);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut keyboard = child.stdin.take().context("no keyboard")?;
        keyboard.write_all(b"hello\n")?;
        let done = child.wait_with_output()?; // the keyboard stays until then
        drop(keyboard);
        let screen = String::from_utf8(done.stdout)?;
        ensure!(done.status.code() == Some(5), "it ended with {}; the screen shows {screen:?}", done.status);
        ensure!(screen.contains("/dev/pts/"), "the command has no terminal: {screen:?}");
        ensure!(screen.contains("I heard hello"), "the command did not hear the keyboard: {screen:?}");
        Ok(())
    })
}

/// The command on a terminal of 33 rows and 77 columns, made by `script` of Debian's bsdutils.
fn on_a_terminal(command: &Command) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command"]);
    script.arg(format!("stty rows 33 cols 77; exec {}", words.join(" "))).arg("/dev/null");
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script
}

#[test]
fn many_bytes_come_back_unharmed() -> Result<()> {
    play("exec-output", |home| {
        let shown = home.shell("web", "app", "seq 1 300000")?;
        let wanted: String = (1..=300_000).map(|each| format!("{each}\n")).collect();
        ensure!(shown == wanted, "{} bytes came of {}", shown.len(), wanted.len());
        Ok(())
    })
}

#[test]
fn a_user_without_the_right_sees_no_log() -> Result<()> {
    play("rights", |home| {
        let nobody = ["--as=nobody", "--as-group=system:authenticated"];
        let denied = refused(home.logs(&[&["web"], &nobody[..]].concat()))?;
        ensure!(denied.contains("Forbidden"), "{denied}");
        Ok(())
    })
}

fn exec(home: &Namespace, flags: &[&str], line: &str) -> Result<Command> {
    home.command(&[&["exec"], flags, &["web", "--", "sh", "-c", line]].concat())
}

fn refused(answer: Result<String>) -> Result<String> {
    match answer {
        Ok(answer) => anyhow::bail!("it was not refused: {answer:?}"),
        Err(refusal) => Ok(refusal.to_string()),
    }
}

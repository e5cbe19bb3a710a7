//! `monitor`: probes again and again, told as they come, until somebody ends it; then a summary.
//!
//! The probes are its own: each is a fresh login, as with `check`. Where a daemon runs beside, what happens to its kept
//! connections and how its pools stand is told too. A server that does not greet is not asked again meanwhile: the one
//! connection waits, and each round says so.
//!
//! ```text
//! bar.rs      a probe's time by its phases
//! tally.rs    counts, for the summary
//! beside.rs   the daemon's events and pools
//! screen.rs   lines, or a table at the foot of a terminal
//! ```

mod bar;
mod tally;
mod beside;
mod screen;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::bar::{LEGEND, WIDTH, bar};
use self::beside::{Beside, Event};
use self::screen::{MOST_ROWS, Screen, Tone};
use self::tally::{Summary, Tally};
use super::checked::{AT_ONCE, Checked, Report, milliseconds, probe_one};
use super::daemon::{self, At};
use super::exit::{Exit, complain};
use super::output::Output;
use super::repeat::{self, Ends};
use super::runtime;
use super::targets::chosen;
use crate::config::Loaded;
use crate::watch::probe::{self, Ended, Probed};
use crate::watch::target::Target;

/// Between two rounds, unless it is said.
const EVERY: Duration = Duration::from_secs(30);

/// Between two looks at what a daemon tells.
const LOOK: Duration = Duration::from_secs(1);

/// Monitors until somebody ends it. The first of the words may be the interval.
pub(super) fn monitor(loaded: Loaded, at: &At, words: &[String], output: Output) -> Exit {
    let (every, names) = match words {
        [first, names @ ..] if !loaded.config.targets.contains_key(first) && begins_as_a_number(first) => {
            match repeat::parse(first) {
                Ok(every) => (every, names),
                Err(says) => return complain(&format!("error: {says}")),
            }
        }
        names => (EVERY, names),
    };
    let targets = match chosen(&loaded, names) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let beside = match daemon::beside(at, &loaded) {
        Ok(client) => client.map(|client| {
            let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
            Beside::new(client, &names)
        }),
        Err(exit) => return exit,
    };
    let done = runtime::run(async {
        match Ends::new() {
            Ok(ends) => Monitor::new(targets, beside, every, output).run(ends).await,
            Err(error) => Err(complain(&format!("error: cannot listen for signals\n  cause: {error}"))),
        }
    });
    match done {
        Ok(Ok(exit)) | Ok(Err(exit)) | Err(exit) => exit,
    }
}

fn begins_as_a_number(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '.'))
}

struct Monitor {
    watched: Vec<Watched>,
    beside: Option<Beside>,
    every: Duration,
    output: Output,
    screen: Screen,
    began: Instant,
}

/// One target, and what was seen of it.
struct Watched {
    target: Arc<Target>,
    /// The one connection that is not greeted, and since when.
    waiting: Option<Waiting>,
    tally: Tally,
    /// The row of the table.
    row: String,
}

struct Waiting {
    since: Instant,
    task: JoinHandle<Ended>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Monitor {
    fn new(targets: Vec<Arc<Target>>, beside: Option<Beside>, every: Duration, output: Output) -> Monitor {
        let watched = |target| Watched { target, waiting: None, tally: Tally::default(), row: String::new() };
        Monitor {
            watched: targets.into_iter().map(watched).collect(),
            beside,
            every,
            output,
            screen: Screen::new(),
            began: Instant::now(),
        }
    }

    async fn run(mut self, mut ends: Ends) -> Result<Exit, Exit> {
        self.open()?;
        // From here on it is news.
        self.look().await?;
        let (mut rounds, mut looks) = (interval_of(self.every), interval_of(LOOK));
        looks.tick().await;
        while !self.screen.is_closed() {
            tokio::select! {
                () = ends.come() => break,
                _ = rounds.tick() => {
                    let (round, is_over) = ends.after(self.round()).await;
                    round.transpose()?;
                    if is_over {
                        break;
                    }
                }
                _ = looks.tick(), if self.beside.is_some() => self.look().await?,
            }
        }
        self.close()?;
        Ok(self.watched.iter().map(|watched| watched.tally.judged()).max().unwrap_or(Exit::Good))
    }

    fn has_table(&self) -> bool {
        self.screen.is_terminal() && self.watched.len() > 1 && matches!(self.output, Output::Text)
    }

    fn width(&self) -> usize {
        self.watched.iter().map(|watched| watched.target.name.chars().count()).max().unwrap_or(0)
    }

    fn open(&mut self) -> Result<(), Exit> {
        if let Output::Json = self.output {
            return Ok(());
        }
        let (count, every) = (self.watched.len(), humantime::format_duration(self.every));
        let (of, each) = if count == 1 { ("target", "") } else { ("targets", "each ") };
        let beside = match &self.beside {
            Some(beside) => format!("events and pools: the daemon at {}", beside.place()),
            None => "events and pools: none, since no daemon runs beside".to_owned(),
        };
        self.screen.write(&format!(
            "{count} {of}, {each}probed every {every}; Ctrl-C ends it with a summary\ntimes in UTC; {LEGEND}\n{beside}\n"
        ))
    }

    /// One probe of each, told as they end.
    async fn round(&mut self) -> Result<(), Exit> {
        let tries: Vec<_> = self
            .watched
            .iter_mut()
            .enumerate()
            .map(|(at, watched)| {
                let (target, waiting) = (watched.target.clone(), watched.waiting.take());
                async move { (at, attempt(target, waiting).await) }
            })
            .collect();
        let mut tries = stream::iter(tries).buffer_unordered(AT_ONCE);
        while let Some((at, (checked, waiting))) = tries.next().await {
            self.watched[at].waiting = waiting;
            self.watched[at].tally.probed(&checked);
            self.tell(at, &checked)?;
        }
        Ok(())
    }

    fn tell(&mut self, at: usize, checked: &Checked) -> Result<(), Exit> {
        let now = SystemTime::now();
        if let Output::Json = self.output {
            return self.line_of_json(&Line::Probe { time: stamp(now), report: checked.to_report() });
        }
        let name = &self.watched[at].target.name;
        let standing = self.beside.as_ref().map_or("", |beside| beside.standing(name));
        let (tone, said) = match &checked.outcome {
            Ok(_) => (Tone::Plain, format!("good    {:>12}  {}", milliseconds(checked.took), bar(&checked.phases))),
            Err(failure) => {
                let errno = failure.errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
                let why = format!("{} {}{errno}", failure.phase.label(), failure.reason.label());
                (Tone::Bad, format!("failed  {why:<w$}", w = 14 + WIDTH))
            }
        };
        let line = format!("{}  {name:<w$}  {said}  {standing}", clock(now), w = self.width());
        let line = self.screen.toned(tone, line.trim_end());
        if !self.has_table() {
            return self.screen.write(&(line + "\n"));
        }
        let watched = &mut self.watched[at];
        watched.row = line;
        let table = self.table();
        self.screen.put("", &table)
    }

    /// The rows as they are now, the failing ones first where not all of them fit.
    fn table(&self) -> Vec<String> {
        let mut rows: Vec<&Watched> = self.watched.iter().filter(|watched| !watched.row.is_empty()).collect();
        let more = rows.len().saturating_sub(MOST_ROWS);
        if more > 0 {
            rows.sort_by_key(|watched| std::cmp::Reverse(watched.tally.judged()));
            rows.truncate(MOST_ROWS);
        }
        let mut table: Vec<String> = rows.iter().map(|watched| watched.row.clone()).collect();
        if more > 0 {
            table.push(format!("and {more} more, none of them worse"));
        }
        table
    }

    /// What the daemon tells since the last look.
    async fn look(&mut self) -> Result<(), Exit> {
        let Some(beside) = &mut self.beside else { return Ok(()) };
        let news = match beside.news().await {
            Ok(news) => news,
            Err(unanswered) => {
                let said = unanswered.to_string().replace("\n  ", "; ");
                let said = said.trim_start_matches("error: ");
                return match self.output {
                    Output::Json => self.line_of_json(&Line::Daemon { time: stamp(SystemTime::now()), says: said }),
                    Output::Text => {
                        let line = format!("{}  {said}", clock(SystemTime::now()));
                        self.above(&self.screen.toned(Tone::Warning, &line))
                    }
                };
            }
        };
        for (event, times) in news {
            self.happened(&event, times)?;
        }
        Ok(())
    }

    fn happened(&mut self, event: &Event, times: u64) -> Result<(), Exit> {
        if let Some(cause) = event.cause.as_deref().filter(|_| event.kind == "lost")
            && let Some(watched) = self.watched.iter_mut().find(|watched| watched.target.name == event.target)
        {
            watched.tally.lost(cause, times);
        }
        if let Output::Json = self.output {
            let Event { target, last, kind, says, .. } = event;
            return self.line_of_json(&Line::Event { time: last, target, event: kind, times, says });
        }
        let at = humantime::parse_rfc3339(&event.last).map_or_else(|_| event.last.clone(), clock);
        let times = if times > 1 { format!(" × {times}") } else { String::new() };
        let line = format!("{at}  {:<w$}  event   {}{times}", event.target, event.says, w = self.width());
        let tone = if event.kind == "lost" { Tone::Warning } else { Tone::Plain };
        self.above(&self.screen.toned(tone, &line))
    }

    /// A line that stays.
    fn above(&mut self, line: &str) -> Result<(), Exit> {
        let table = if self.has_table() { self.table() } else { Vec::new() };
        self.screen.put(&format!("{line}\n"), &table)
    }

    fn close(&mut self) -> Result<(), Exit> {
        let lasted = Duration::from_secs(self.began.elapsed().as_secs());
        if let Output::Json = self.output {
            let targets = self.watched.iter().map(|watched| watched.tally.to_summary(&watched.target.name)).collect();
            let summary = Line::Summary { seconds: lasted.as_secs(), targets };
            let text = serde_json::to_string(&summary).expect("strings and numbers always serialize");
            return self.screen.write(&(text + "\n"));
        }
        let mut text = format!("after {}:\n", humantime::format_duration(lasted));
        let width = self.width();
        for watched in &self.watched {
            text.push_str(&watched.tally.told(&watched.target.name, width));
        }
        let table = if self.has_table() { self.table() } else { Vec::new() };
        self.screen.put("", &table)?;
        // The table stays where it is.
        self.screen.forget();
        self.screen.write(&text)
    }

    fn line_of_json(&mut self, line: &Line<'_>) -> Result<(), Exit> {
        let text = serde_json::to_string(line).expect("strings and numbers always serialize");
        self.screen.write(&(text + "\n"))
    }
}

/// One line of `--output json`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Probe {
        time: String,
        #[serde(flatten)]
        report: Report<'a>,
    },
    /// A daemon that runs beside has told of it.
    Event {
        time: &'a str,
        target: &'a str,
        event: &'a str,
        times: u64,
        says: &'a str,
    },
    /// A daemon that does not answer.
    Daemon {
        time: String,
        says: &'a str,
    },
    Summary {
        seconds: u64,
        targets: Vec<Summary<'a>>,
    },
}

/// A probe, or how it goes with the one that still waits for a greeting.
async fn attempt(target: Arc<Target>, waiting: Option<Waiting>) -> (Checked, Option<Waiting>) {
    if let Some(mut waiting) = waiting {
        if !waiting.task.is_finished() {
            let waited = waiting.since.elapsed();
            let outcome = Err(probe::no_greeting(waited));
            return (Checked { took: waited, phases: Vec::new(), outcome, target }, Some(waiting));
        }
        // It woke, or gave up. One that died of a defect has said so, and the next probe is as good.
        if let Ok(ended) = (&mut waiting.task).await {
            return (Checked::ended(target, ended), None);
        }
    }
    match probe_one(&target).await {
        Probed::Ended(ended) => (Checked::ended(target, *ended), None),
        Probed::Silent(silent) => {
            let checked = Checked::silent(target.clone(), &silent);
            let since = Instant::now() - silent.waited();
            let task = tokio::spawn(async move { silent.wait(&target).await });
            (checked, Some(Waiting { since, task }))
        }
    }
}

fn interval_of(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

fn stamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// The time of the day, in UTC.
fn clock(at: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(at).to_string();
    text.get(11..19).unwrap_or(&text).to_owned()
}

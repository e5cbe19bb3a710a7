//! How a probe's time divides into its phases, as a small bar of letters.

use std::time::Duration;

use crate::mysql::failure::Phase;

/// What the letters mean, for the first line.
pub(super) const LEGEND: &str = "d dns, t tcp, g greeting, s tls, a auth, q query";

/// Columns of a bar.
pub(super) const WIDTH: usize = 20;

fn letter(phase: Phase) -> char {
    match phase {
        Phase::Dns => 'd',
        Phase::Tcp => 't',
        Phase::Greeting => 'g',
        Phase::Tls => 's',
        Phase::Auth => 'a',
        Phase::Query => 'q',
    }
}

/// The bar, always as wide. Each phase that was passed has at least one letter.
pub(super) fn bar(phases: &[(Phase, Duration)]) -> String {
    let sum: f64 = phases.iter().map(|(_, took)| took.as_secs_f64()).sum();
    if phases.is_empty() || sum <= 0.0 {
        return " ".repeat(WIDTH);
    }
    // One each, and what is left by their shares: what is lost in rounding goes to those that lost most.
    let left = (WIDTH - phases.len()) as f64;
    let shares: Vec<f64> = phases.iter().map(|(_, took)| took.as_secs_f64() / sum * left).collect();
    let mut widths: Vec<usize> = shares.iter().map(|share| 1 + share.floor() as usize).collect();
    let mut by_rest: Vec<usize> = (0..phases.len()).collect();
    by_rest.sort_by(|a, b| shares[*b].fract().total_cmp(&shares[*a].fract()));
    let missing = WIDTH.saturating_sub(widths.iter().sum());
    by_rest.iter().take(missing).for_each(|at| widths[*at] += 1);
    phases.iter().zip(widths).map(|((phase, _), width)| letter(*phase).to_string().repeat(width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_always_as_wide_and_every_phase_is_seen() {
        let of = |times: &[(Phase, u64)]| {
            bar(&times.iter().map(|(phase, us)| (*phase, Duration::from_micros(*us))).collect::<Vec<_>>())
        };
        let all = [
            (Phase::Dns, 1),
            (Phase::Tcp, 1),
            (Phase::Greeting, 1),
            (Phase::Tls, 10_000),
            (Phase::Auth, 1),
            (Phase::Query, 1),
        ];
        assert_eq!(of(&all), "dtgsssssssssssssssaq");
        assert_eq!(of(&[(Phase::Tcp, 100), (Phase::Greeting, 100)]), "ttttttttttgggggggggg");
        assert_eq!(of(&[(Phase::Tcp, 100), (Phase::Auth, 100), (Phase::Query, 100)]).len(), WIDTH);
        assert_eq!(of(&[]), " ".repeat(WIDTH));
        assert_eq!(of(&[(Phase::Tcp, 0)]).len(), WIDTH);
    }
}

//! Lifetimes in words.

use chrono::TimeDelta;

/// A unit: its length in seconds, and its names for one and for several.
type Unit = (i64, &'static str, &'static str);

const ENGLISH: [Unit; 4] = [
    (86_400, "day", "days"),
    (3_600, "hour", "hours"),
    (60, "minute", "minutes"),
    (1, "second", "seconds"),
];
const GERMAN: [Unit; 4] = [
    (86_400, "Tag", "Tage"),
    (3_600, "Stunde", "Stunden"),
    (60, "Minute", "Minuten"),
    (1, "Sekunde", "Sekunden"),
];
const SPANISH: [Unit; 4] = [
    (86_400, "día", "días"),
    (3_600, "hora", "horas"),
    (60, "minuto", "minutos"),
    (1, "segundo", "segundos"),
];
const FRENCH: [Unit; 4] = [
    (86_400, "jour", "jours"),
    (3_600, "heure", "heures"),
    (60, "minute", "minutes"),
    (1, "seconde", "secondes"),
];

/// From this number of a unit on, the next larger unit is easier to read.
const MANY: i64 = 100;

/// A lifetime in the language of a locale: "90 minutes", "1 hour". It is never longer than the lifetime,
/// and the same in every time zone. Languages that are not built in get English.
pub fn in_words(lifetime: TimeDelta, locale: &str) -> String {
    let units = match locale.split('-').next() {
        Some("de") => GERMAN,
        Some("es") => SPANISH,
        Some("fr") => FRENCH,
        _ => ENGLISH,
    };
    let seconds = lifetime.num_seconds().max(0);
    let is_exact = |(length, ..): &Unit| seconds >= *length && seconds % length == 0;
    let exact = units.iter().position(is_exact).unwrap_or(units.len() - 1);
    // Rounded down to a larger unit while the number is large.
    let larger = units.iter().take(exact + 1).rev();
    let few = larger.clone().find(|(length, ..)| seconds / length < MANY);
    let (length, one, several) = few.unwrap_or(&units[0]);
    let number = seconds / length;
    let is_one = number == 1 || (number == 0 && units == FRENCH);
    format!("{number} {}", if is_one { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_the_right_unit_and_plural() {
        for (seconds, texts) in [
            (60, ["1 minute", "1 Minute", "1 minuto", "1 minute"]),
            (
                90,
                ["90 seconds", "90 Sekunden", "90 segundos", "90 secondes"],
            ),
            (
                600,
                ["10 minutes", "10 Minuten", "10 minutos", "10 minutes"],
            ),
            (3_600, ["1 hour", "1 Stunde", "1 hora", "1 heure"]),
            (
                5_400,
                ["90 minutes", "90 Minuten", "90 minutos", "90 minutes"],
            ),
            (7_200, ["2 hours", "2 Stunden", "2 horas", "2 heures"]),
            (86_400, ["1 day", "1 Tag", "1 día", "1 jour"]),
            (172_800, ["2 days", "2 Tage", "2 días", "2 jours"]),
            (604_800, ["7 days", "7 Tage", "7 días", "7 jours"]),
            (0, ["0 seconds", "0 Sekunden", "0 segundos", "0 seconde"]),
            (
                3_661,
                ["61 minutes", "61 Minuten", "61 minutos", "61 minutes"],
            ),
            (360_420, ["4 days", "4 Tage", "4 días", "4 jours"]),
        ] {
            let lifetime = TimeDelta::seconds(seconds);
            let spoken = ["en", "de-AT", "es", "fr-CA"].map(|locale| in_words(lifetime, locale));
            assert_eq!(spoken, texts, "{seconds}");
        }
    }
}

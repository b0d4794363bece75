//! The syntax of `RUST_LOG`. `env_logger` skips what it cannot parse, and reads a misspelt level as the name
//! of a module, so that nothing else is logged.

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Levels of other programs, which are no names of modules either.
const OTHER_LEVELS: [&str; 9] = [
    "all", "critical", "fatal", "none", "notice", "quiet", "silent", "verbose", "warning",
];

/// Checks directives such as `info,tokenhouse::store=debug`. Those of the crate `tracing`, with spans in
/// brackets, are left to it.
///
/// # Errors
/// What is expected, without the value.
pub(super) fn check(filter: &str) -> Result<(), String> {
    const EXPECTED: &str = "expected error, warn, info, debug, trace or off, or MODULE=LEVEL, \
                            separated by commas";
    if filter.matches('/').count() > 1 {
        return Err("expected at most one /".to_owned());
    }
    let directives = filter.split('/').next().unwrap_or_default();
    for (number, directive) in (1..).zip(directives.split(',').map(str::trim)) {
        let is_known = match directive.split_once('=') {
            _ if directive.is_empty() || directive.contains('[') => true,
            Some((module, level)) => {
                is_module(module) && (level.is_empty() || is_level(level.trim()))
            }
            None => is_level(directive) || (is_module(directive) && !is_misspelt(directive)),
        };
        if !is_known {
            return Err(format!("entry {number}: {EXPECTED}"));
        }
    }
    Ok(())
}

fn is_level(text: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text))
}

fn is_module(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_:-.".contains(c);
    !text.is_empty() && text.chars().all(is_part)
}

/// Whether a text was meant as a level.
fn is_misspelt(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let is_near = |level: &str| strsim::osa_distance(level, &text) == 1;
    OTHER_LEVELS.contains(&text.as_str())
        || LEVELS.iter().any(|level| is_near(level))
        || text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn misspelt_levels_are_refused() {
        for filter in [
            "info,actix_server=warn",
            "INFO",
            "off",
            "tokenhouse",
            "tokenhouse::store=debug, warn",
            "tokenhouse=",
            "debug/sign-in",
            "my_app[span{id=1}]=trace,info",
            "",
            ",",
        ] {
            assert_eq!(check(filter), Ok(()), "{filter}");
        }
        for filter in [
            "inof",
            "inf",
            "debgu",
            "warning",
            "critical",
            "verbose",
            "3",
            "info;debug",
            "\"info\"",
            "tokenhouse=hush",
            "tokenhouse=inof",
            "a=b=info",
            "=info",
            "tokenhouse:debug warn",
            "a/b/c",
            "info debug",
        ] {
            let problem = check(&format!("info,{filter}")).unwrap_err();
            assert!(!problem.contains("hush"), "{problem}");
            assert!(
                filter.contains('/') || problem.starts_with("entry "),
                "{problem}"
            );
        }
    }
}

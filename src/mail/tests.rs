//! Templates, their languages and what a mail contains.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::config::Config;

fn config(vars: &[(&str, &str)]) -> Config {
    let given = [
        ("TOKENHOUSE_MAIL", "log"),
        ("TOKENHOUSE_PUBLIC_URL", "https://auth.example"),
    ];
    let vars = given.iter().chain(vars);
    Config::from_vars(vars.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).unwrap()
}

fn mailer(vars: &[(&str, &str)]) -> Result<Mailer, MailError> {
    Mailer::new(&config(vars)).map(Option::unwrap)
}

/// A folder with these templates.
fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tokenhouse-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for (file, text) in files {
        fs::write(folder.join(file), text).unwrap();
    }
    folder
}

#[test]
fn every_mail_says_the_same_in_text_and_html() {
    let mailer = mailer(&[]).unwrap();
    for kind in Kind::ALL {
        for locale in ["en", "de", "es", "fr"] {
            let mail = mailer.preview(kind, locale).unwrap();
            let context = format!("{kind}.{locale}: {mail:?}");
            assert_eq!(mail.locale, locale);
            let link = format!(
                "https://auth.example/{kind}?t=56EF3D0yLk7qVw2mZ8tHc4bXs9-3Dp56mZ8tHc4bXs9EF0yLk"
            );
            assert!(mail.text.contains(&format!("\n{link}\n")), "{context}");
            assert!(mail.html.contains(&format!("href=\"{link}\"")), "{context}");
            let has_code = kind.requires_code();
            assert_eq!(mail.text.contains("\n7K3M9QXD\n"), has_code, "{context}");
            assert_eq!(mail.html.contains(">7K3M9QXD<"), has_code, "{context}");
            assert!(
                mail.subject.contains("Tokenhouse") && mail.subject.len() < 78,
                "{context}"
            );
            for text in [&mail.subject, &mail.text, &mail.html] {
                let is_finished =
                    ["{{", "{%", "href=\"\"", "none", "undefined"]
                        .iter()
                        .all(|unfinished| {
                            !text.contains(unfinished) || text.contains("text-decoration:none")
                        });
                assert!(is_finished, "{context}");
            }
            assert!(
                !mail.text.contains("{") && !mail.text.contains("\n\n\n"),
                "{context}"
            );
            assert!(
                mail.text.contains("Ada Lovelace") && mail.html.contains("<bdi>Ada Lovelace</bdi>")
            );
        }
    }
}

#[test]
fn locales_fall_back() {
    let chosen = |locales: &str, wanted: &str| {
        let mailer = mailer(&[("TOKENHOUSE_MAIL_LOCALES", locales)]).unwrap();
        mailer.preview(Kind::ResetPassword, wanted).unwrap().locale
    };
    for (locales, wanted, locale) in [
        ("en,de,es,fr", "de-AT", "de"),
        ("en,de,es,fr", "DE", "de"),
        ("en,de,es,fr", "pt-BR", "en"),
        ("fr,en", "", "fr"),
        ("en,de-AT,de", "de-CH", "de"),
        ("en,de-AT", "de", "de-AT"),
        ("en,de-AT", "de-AT", "de-AT"),
    ] {
        assert_eq!(chosen(locales, wanted), locale, "{locales} {wanted}");
    }
    let missing = mailer(&[("TOKENHOUSE_MAIL_LOCALES", "en,pl")]).unwrap_err();
    assert!(
        missing.to_string().contains("reset-password.pl.txt"),
        "{missing}"
    );
}

#[test]
fn unusable_templates_are_refused_with_file_and_line() {
    for (file, text, problem) in [
        (
            "reset-password.de.txt",
            "Subject: x\n\n{{ link }}\n{{ code }}\n{{ nmae }}",
            ":5: unknown variable nmae",
        ),
        (
            "reset-password.de.txt",
            "Subject: x\n{% if code %}\n{{ link }}",
            ":3: ",
        ),
        (
            "reset-password.de.txt",
            "Hello {{ link }}{{ code }}\n",
            ":1: expected a first line Subject",
        ),
        (
            "reset-password.de.txt",
            "Subject: x\n\n{{ link }}\n",
            "does not show {{ code }}",
        ),
        (
            "reset-password.de.html",
            "<p>{{ code }}",
            "does not show {{ link }}",
        ),
        (
            "reset-password.de.html",
            "{{ link }}\n{{ code|shorten }}",
            ":2: unknown filter",
        ),
        (
            "reset-pasword.de.txt",
            "Subject: x\n",
            "no mail has this name",
        ),
        (
            "layout.html",
            "<p>{{ subject }}",
            "does not show {{ content }}",
        ),
        (
            "layout.txt",
            "{{ content }}\n{{ link }}",
            ":2: unknown variable link",
        ),
    ] {
        let folder = folder(&format!("refused-{}", problem.len()), &[(file, text)]);
        let refused = mailer(&[("TOKENHOUSE_MAIL_TEMPLATES", folder.to_str().unwrap())]);
        fs::remove_dir_all(&folder).unwrap();
        let refused = refused.unwrap_err().to_string();
        let place = folder.join(file).display().to_string();
        assert!(
            refused.contains(&place) && refused.contains(problem),
            "{refused}"
        );
    }
    let missing = mailer(&[("TOKENHOUSE_MAIL_TEMPLATES", "/nowhere/templates")]).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "TOKENHOUSE_MAIL_TEMPLATES: /nowhere/templates: no such file or folder"
    );
}

#[test]
fn own_templates_replace_built_in_ones_alone() {
    let folder = folder(
        "own",
        &[
            (
                "reset-password.de.html",
                "<p>Eigenes: {{ name }} <a href=\"{{ link }}\">{{ code }}</a></p>",
            ),
            (
                "invitation.en.txt",
                "Subject: Join {{ brand }}\r\n\r\nCome in:\r\n{{ link }}\r\n",
            ),
            ("notes.md", "not a template"),
        ],
    );
    let mailer = mailer(&[("TOKENHOUSE_MAIL_TEMPLATES", folder.to_str().unwrap())]);
    fs::remove_dir_all(&folder).unwrap();
    let mailer = mailer.unwrap();
    let reset = mailer.preview(Kind::ResetPassword, "de").unwrap();
    assert!(
        reset
            .html
            .starts_with("<p>Eigenes: <bdi>Ada Lovelace</bdi> <a href=\"https://auth")
    );
    assert!(
        reset
            .text
            .contains("Neues Passwort wählen:\nhttps://auth.example"),
        "{}",
        reset.text
    );
    let invitation = mailer.preview(Kind::Invitation, "en").unwrap();
    assert_eq!(invitation.subject, "Join Tokenhouse");
    assert!(
        invitation.html.contains(">Come in</span>"),
        "{}",
        invitation.html
    );
}

#[test]
fn names_reorder_only_themselves() {
    let mailer = mailer(&[]).unwrap();
    let letter = Letter {
        name: "\u{202e}Ada\u{2069}\r\nBcc: eve@example.com",
        details: Details {
            inviter: Some("<b>\u{202e}Eve</b>"),
            ..Details::default()
        },
        ..values::sample_letter(Kind::Invitation, "en", "https://auth.example/i?t=1")
    };
    let mail = mailer.render(&letter).unwrap();
    let name = "\u{2068}\u{202e}Ada  Bcc: eve@example.com\u{2069}";
    assert!(
        mail.text.contains(&format!("Hello {name},\n")),
        "{:?}",
        mail.text
    );
    assert!(
        mail.html
            .contains("<bdi>\u{202e}Ada  Bcc: eve@example.com</bdi>,")
    );
    assert!(
        mail.html
            .contains("<bdi>&lt;b&gt;\u{202e}Eve&lt;/b&gt;</bdi> invites")
    );
    assert!(
        mail.subject
            .starts_with("\u{2068}<b>\u{202e}Eve</b>\u{2069} invites")
    );
}

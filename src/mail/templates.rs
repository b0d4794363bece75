//! The templates: which one a mail uses, and whether all of them can be used.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::built_in::{self, HTML_LAYOUT, TEXT_LAYOUT};
use super::letter::Kind;
use super::{MailError, values};
use crate::private_file::reason;

/// The largest template, in bytes.
const MAX_BYTES: u64 = 256 << 10;

/// What begins the first line of a text.
const SUBJECT: &str = "Subject:";

/// The templates by the names of their files. Those in the folder of the operator replace built-in ones.
pub(super) struct Templates {
    sources: BTreeMap<String, Source>,
    locales: Vec<String>,
    environment: Environment<'static>,
}

/// A template.
struct Source {
    /// The file, if it is not built in.
    path: Option<PathBuf>,
    text: Cow<'static, str>,
}

/// A part of a mail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `text/plain`, with the subject in the first line.
    Text,
    /// `text/html`.
    Html,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Html => "html",
        }
    }
}

impl Templates {
    /// Reads the templates, and checks that each of them can be rendered for these locales.
    ///
    /// # Errors
    /// The first problem, with the file and the line.
    pub(super) fn load(folder: Option<&Path>, locales: &[String]) -> Result<Self, MailError> {
        let built_in = built_in::all().map(|(name, text)| {
            let text = Cow::Borrowed(text);
            (name.to_owned(), Source { path: None, text })
        });
        let mut templates = Self {
            sources: built_in.collect(),
            locales: locales.to_owned(),
            environment: environment(),
        };
        if let Some(folder) = folder {
            templates.read(folder)?;
        }
        for (name, source) in &templates.sources {
            templates.check(name, source)?;
        }
        for locale in locales {
            for kind in Kind::ALL {
                if templates.find(kind, locale, Format::Text).is_none() {
                    let name = folder
                        .unwrap_or(Path::new(""))
                        .join(format!("{kind}.{locale}.txt"));
                    let problem = format!("missing, but TOKENHOUSE_MAIL_LOCALES lists {locale}");
                    return Err(MailError::at(&name, None, problem));
                }
            }
        }
        Ok(templates)
    }

    fn read(&mut self, folder: &Path) -> Result<(), MailError> {
        let unreadable = |path: &Path, error| MailError::at(path, None, reason(&error));
        let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
        for entry in entries {
            let path = entry.map_err(|error| unreadable(folder, error))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Others are notes of the operator, or copies of an editor.
            if name.starts_with('.') || !(name.ends_with(".txt") || name.ends_with(".html")) {
                continue;
            }
            if !is_layout(&name) && kind_of(&name).is_none() {
                let problem = "no mail has this name; expected KIND.LANGUAGE.txt or .html, such as \
                               reset-password.de.txt, or layout.txt or .html";
                return Err(MailError::at(&path, None, problem));
            }
            let mut text = String::new();
            let read = File::open(&path)
                .and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
            match read {
                Err(error) => return Err(unreadable(&path, error)),
                Ok(length) if length as u64 > MAX_BYTES => {
                    return Err(MailError::at(&path, None, "larger than 256 KiB"));
                }
                Ok(_) => {}
            }
            let (name, text) = (name.into_owned(), text.replace("\r\n", "\n").into());
            let path = Some(path);
            self.sources.insert(name, Source { path, text });
        }
        Ok(())
    }

    /// The locale for a user: the same one, that of the same language, or the first one.
    pub(super) fn locale(&self, wanted: &str) -> &str {
        let language = |locale: &str| locale.split('-').next().unwrap_or_default().to_owned();
        let is_same = |locale: &&String| locale.eq_ignore_ascii_case(wanted);
        let is_related = |locale: &&String| {
            // `pt-BR` falls back to `pt`, and `de` to `de-AT` if there is nothing closer.
            !wanted.is_empty() && language(locale).eq_ignore_ascii_case(&language(wanted))
        };
        let mut locales = self.locales.iter();
        let found = locales.clone().find(is_same);
        let plain = locales
            .clone()
            .find(|locale| is_related(locale) && !locale.contains('-'));
        let found = found.or(plain).or_else(|| locales.find(is_related));
        found.or(self.locales.first()).map_or("en", String::as_str)
    }

    /// The template for a mail in this locale: of the locale itself, or of its language.
    fn find(&self, kind: Kind, locale: &str, format: Format) -> Option<(String, &Source)> {
        let language = locale.split('-').next().unwrap_or_default();
        let names = [locale, language].map(|tag| format!("{kind}.{tag}.{}", format.extension()));
        names
            .into_iter()
            .find_map(|name| Some((name.clone(), self.sources.get(&name)?)))
    }

    /// The subject and the text of a mail.
    pub(super) fn text(
        &self,
        kind: Kind,
        locale: &str,
        values: &Value,
    ) -> Result<(String, String), MailError> {
        let name = format!("{kind}.{locale}.txt");
        let missing = || MailError::at(Path::new(&name), None, "missing");
        let (name, source) = self.find(kind, locale, Format::Text).ok_or_else(missing)?;
        let rendered = self.render(&name, source, values)?;
        let (subject, body) = subject(&rendered)
            .ok_or_else(|| source.error(&name, Some(1), "expected a first line Subject: …"))?;
        Ok((subject, compact(body)))
    }

    /// The HTML of a mail by a template of the operator; `None` if it is made of the text.
    pub(super) fn own_html(
        &self,
        kind: Kind,
        locale: &str,
        values: &Value,
    ) -> Option<Result<String, MailError>> {
        let (name, source) = self.find(kind, locale, Format::Html)?;
        Some(self.render(&name, source, values))
    }

    /// The layout around a text or HTML.
    pub(super) fn layout(&self, format: Format, values: &Value) -> Result<String, MailError> {
        let name = match format {
            Format::Text => TEXT_LAYOUT,
            Format::Html => HTML_LAYOUT,
        };
        let missing = || MailError::at(Path::new(name), None, "missing");
        let source = self.sources.get(name).ok_or_else(missing)?;
        self.render(name, source, values)
    }

    fn render(&self, name: &str, source: &Source, values: &Value) -> Result<String, MailError> {
        let text = without_lines_of_tags(&source.text);
        let rendered = self
            .environment
            .render_named_str(name, &text, values.clone());
        rendered.map_err(|error| source.refused(name, &error))
    }

    /// Checks a template: that it can be parsed, names no unknown variable, can be rendered with all and
    /// with few variables, and shows what its mail is for.
    fn check(&self, name: &str, source: &Source) -> Result<(), MailError> {
        let text = without_lines_of_tags(&source.text);
        let template = self.environment.template_from_named_str(name, &text);
        let template = template.map_err(|error| source.refused(name, &error))?;
        let known = values::names(is_layout(name));
        let mut named: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        named.sort();
        if let Some(unknown) = named.iter().find(|named| !known.contains(&named.as_str())) {
            let line = line_of(&source.text, unknown);
            let problem = format!("unknown variable {unknown}; known are {}", known.join(", "));
            return Err(source.error(name, line, problem));
        }
        let format = if name.ends_with(".txt") {
            Format::Text
        } else {
            Format::Html
        };
        let shows = |rendered: &str, text: &str, variable: &str| {
            let problem = format!("does not show {{{{ {variable} }}}}");
            let is_shown = rendered.contains(text);
            is_shown
                .then_some(())
                .ok_or_else(|| source.error(name, None, problem))
        };
        let Some(kind) = kind_of(name) else {
            let rendered = self.render(name, source, &values::layout_sample(format))?;
            return shows(&rendered, values::SAMPLE_CONTENT, "content");
        };
        self.render(name, source, &values::sparse_sample(kind, format))?;
        let rendered = self.render(name, source, &values::sample(format))?;
        if format == Format::Text && subject(&rendered).is_none() {
            return Err(source.error(name, Some(1), "expected a first line Subject: …"));
        }
        if kind.requires_link() {
            shows(&rendered, values::SAMPLE_LINK, "link")?;
        }
        if kind.requires_code() {
            shows(&rendered, values::SAMPLE_CODE, "code")?;
        }
        if ["{{", "{%", "{#"]
            .iter()
            .any(|open| rendered.contains(open))
        {
            return Err(source.error(name, None, "writes {{ or {% into the mail"));
        }
        Ok(())
    }
}

impl Source {
    fn error(&self, name: &str, line: Option<usize>, problem: impl fmt::Display) -> MailError {
        MailError::at(
            self.path.as_deref().unwrap_or(Path::new(name)),
            line,
            problem,
        )
    }

    fn refused(&self, name: &str, error: &minijinja::Error) -> MailError {
        let detail = error.detail().map(|detail| format!(": {detail}"));
        let problem = format!("{}{}", error.kind(), detail.unwrap_or_default());
        self.error(name, error.line(), problem)
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| {
        if name.ends_with(".html") {
            AutoEscape::Html
        } else {
            AutoEscape::None
        }
    });
    environment
}

fn is_layout(name: &str) -> bool {
    name == TEXT_LAYOUT || name == HTML_LAYOUT
}

/// The kind of mail in `reset-password.de.txt`.
fn kind_of(name: &str) -> Option<Kind> {
    let mut parts = name.split('.');
    let kind = Kind::of_name(parts.next()?)?;
    let is_complete = parts.next().is_some_and(|locale| !locale.is_empty());
    (is_complete && parts.next().is_some() && parts.next().is_none()).then_some(kind)
}

/// Lines that consist of a tag, such as `{% if code %}`, leave no empty line: the line break moves into the
/// tag, so that the numbers of lines stay.
fn without_lines_of_tags(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let tag = line.trim();
        let inner = tag
            .strip_prefix("{%")
            .and_then(|rest| rest.strip_suffix("%}"));
        match inner.filter(|inner| !inner.contains("%}")) {
            Some(inner) if line.ends_with('\n') => {
                joined.push_str(&format!("{{%{inner}\n%}}"));
            }
            _ => joined.push_str(line),
        }
    }
    joined
}

/// The line on which a tag names a variable.
fn line_of(text: &str, variable: &str) -> Option<usize> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let names = |line: &str| line.split(|c| !is_name(c)).any(|word| word == variable);
    let is_in_tag = |line: &&str| line.contains('{') && names(line);
    let line = text.lines().position(|line| is_in_tag(&line));
    let line = line.or_else(|| text.lines().position(names));
    line.map(|line| line + 1)
}

/// The subject in the first line, and the rest.
fn subject(rendered: &str) -> Option<(String, &str)> {
    let (first, rest) = rendered.split_once('\n')?;
    let subject = first.strip_prefix(SUBJECT)?.trim();
    (!subject.is_empty()).then(|| (subject.to_owned(), rest))
}

/// Without blanks at the ends of lines, and with one empty line between paragraphs.
fn compact(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim_end) {
        if !(line.is_empty() && lines.last().is_none_or(|last| last.is_empty())) {
            lines.push(line);
        }
    }
    lines.join("\n").trim_end().to_owned()
}

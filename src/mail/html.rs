//! The HTML of a mail, made of its text: the same words, with a button for the link and a box for the code.

use super::isolate;
use crate::config::Colour;

/// Replaces what HTML would interpret (the HTML standard, section 13.3).
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The paragraphs of a text. One whose last line is the link becomes a button, labelled by the lines above;
/// one whose last line is the code ends with it in large letters.
pub(super) fn from_text(
    text: &str,
    link: Option<&str>,
    code: Option<&str>,
    brand: Colour,
) -> String {
    let mut html = String::new();
    for paragraph in text.split("\n\n").map(str::trim) {
        let (above, last) = paragraph.rsplit_once('\n').unwrap_or(("", paragraph));
        match last.trim() {
            "" => {}
            last if Some(last) == link => html.push_str(&button(above, last, brand)),
            last if Some(last) == code => {
                html.push_str(&lines(above));
                html.push_str(&code_box(last));
            }
            _ => html.push_str(&lines(paragraph)),
        }
    }
    html
}

/// A paragraph with its line breaks; nothing for an empty text.
fn lines(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let text = escape(text).replace('\n', "<br>\n");
    // The isolates of the text stand around what users have written.
    let text = text
        .replace(isolate::BEGIN, "<bdi>")
        .replace(isolate::END, "</bdi>");
    format!("<p class=\"text\" style=\"margin:0 0 16px\">{text}</p>\n")
}

fn button(label: &str, link: &str, brand: Colour) -> String {
    let (background, colour) = brand.button();
    let link = escape(link);
    let label = label.trim().trim_end_matches([':', ' ', '\u{a0}']);
    let label = match label {
        "" => link.clone(),
        label => escape(label),
    };
    format!(
        "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"margin:8px 0 12px\">\
         <tr><td style=\"border-radius:8px;background:{background}\">\
         <a href=\"{link}\" style=\"display:inline-block;padding:10px 20px;border:1px solid {background};\
         border-radius:8px;color:{colour};font-weight:600;text-decoration:none\">\
         <span style=\"color:{colour}\">{label}</span></a></td></tr></table>\n\
         <p class=\"soft\" style=\"margin:0 0 24px;font-size:14px;line-height:20px;color:#59625d;word-break:break-all\">\
         <a href=\"{link}\" style=\"color:#59625d\">{link}</a></p>\n"
    )
}

fn code_box(code: &str) -> String {
    let code = escape(code);
    format!(
        "<p class=\"code\" style=\"display:inline-block;margin:0 0 24px;padding:10px 16px;border:1px solid #e0e1da;\
         border-radius:8px;background:#f6f6f3;color:#1d2220;font:600 22px/28px ui-monospace,SFMono-Regular,Menlo,\
         Consolas,monospace;letter-spacing:3px\">{code}</p>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_and_code_stand_out_and_the_rest_is_escaped() {
        let text = "Hello \u{2068}<b>&\u{2069},\n\nGo there\u{a0}:\nhttps://a.example/?t=1&u=2\n\n\
                    Or enter:\nABCD1234\n\nTime: 1\nDevice: 2";
        let brand = Colour([0x1f, 0x6f, 0x5c]);
        let html = from_text(
            text,
            Some("https://a.example/?t=1&u=2"),
            Some("ABCD1234"),
            brand,
        );
        assert!(
            html.contains("Hello <bdi>&lt;b&gt;&amp;</bdi>,</p>"),
            "{html}"
        );
        assert!(
            html.contains("href=\"https://a.example/?t=1&amp;u=2\""),
            "{html}"
        );
        assert!(html.contains(">Go there</span>"), "{html}");
        assert!(
            html.contains("Or enter:</p>") && html.contains(">ABCD1234</p>"),
            "{html}"
        );
        assert!(html.contains("Time: 1<br>\nDevice: 2</p>"), "{html}");
    }
}

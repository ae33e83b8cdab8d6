//! Reports as pages: one self-contained file each, without scripts and without the network, the same bytes for the same report.

mod chart;
mod check;
mod compare;
mod init;

pub use check::check;
pub use compare::compare;
pub use init::init;

use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// A whole page of a title and the content of its main part.
fn page(title: &str, content: &str) -> String {
    // pictures hold names too
    let content = content.lines().flat_map(|line| [crate::text::escaped(line), "\n".into()]).collect::<String>();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{content}</main>\n</body>\n</html>\n",
        escaped(title)
    )
}

/// Text as it may stand anywhere in a page: names come from files of strangers.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in crate::text::escaped(text).chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A column of a table.
#[derive(Clone, Copy)]
enum Column {
    /// A path of tensors.
    Name,
    Number,
    Text,
}

/// A table in a box of its own that scrolls; cells are text and are escaped here.
fn table(columns: &[(&str, Column)], rows: &[Vec<String>]) -> String {
    let class = |column: Column| match column {
        Column::Name => " class=\"name\"",
        Column::Number => " class=\"number\"",
        Column::Text => " class=\"text\"",
    };
    let mut html = String::from("<div class=\"box\"><table><tr>");
    for (title, column) in columns {
        let class = if matches!(column, Column::Number) { " class=\"number\"" } else { "" };
        let _ = write!(html, "<th{class}>{}</th>", escaped(title));
    }
    html.push_str("</tr>\n");
    for row in rows {
        html.push_str("<tr>");
        for (cell, (_, column)) in row.iter().zip(columns) {
            let _ = write!(html, "<td{}>{}</td>", class(*column), escaped(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
    html
}

/// A picture with the words under it.
fn figure(svg: &str, caption: &str) -> String {
    format!("<figure><div class=\"box\">{svg}</div><figcaption>{}</figcaption></figure>\n", escaped(caption))
}

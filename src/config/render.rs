//! Configuration errors as a person reads them: the line, the underline, the next step.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::error::{ConfigError, ConfigErrors};

/// More than one screen after the other helps nobody.
const MOST: usize = 100;

impl ConfigErrors {
    /// All errors and a closing count, with or without colour.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut out = String::new();
        for error in self.0.iter().take(MOST) {
            out.push_str(&render_one(&renderer, error));
            out.push_str("\n\n");
        }
        match self.0.len() {
            1 => out.push_str("1 error"),
            many if many > MOST => out.push_str(&format!("{many} errors, the first {MOST} shown")),
            many => out.push_str(&format!("{many} errors")),
        }
        out
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

fn render_one(renderer: &Renderer, error: &ConfigError) -> String {
    let path = error.path.display().to_string();
    let title = Level::ERROR
        .primary_title(error.message.as_str())
        .id(error.code.id());
    let mut group = match &error.excerpt {
        Some(excerpt) => title.element(
            Snippet::source(excerpt.lines.as_str())
                .line_start(excerpt.start.line)
                .path(path)
                .annotation(
                    AnnotationKind::Primary
                        .span(excerpt.bytes.clone())
                        .label(error.label.as_deref()),
                ),
        ),
        None => {
            let group = title.element(Origin::path(path));
            match &error.label {
                Some(label) => group.element(Level::NOTE.message(label.as_str())),
                None => group,
            }
        }
    };
    if let Some(hint) = &error.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    renderer.render(&[group])
}

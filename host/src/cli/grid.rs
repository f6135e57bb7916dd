//! Tables for people: columns under their headings, as wide as what is in them.

/// Rows under headings.
#[derive(Clone, Debug, Default)]
pub(super) struct Grid {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// No rows yet.
    pub(super) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// A cell for each heading; an empty one is printed as `-`.
    pub(super) fn push(&mut self, cells: Vec<String>) {
        let cells = cells.into_iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { plain(&cell) });
        self.rows.push(cells.collect());
    }

    /// The whole table, a line for the headings and one for each row.
    pub(super) fn render(&self) -> String {
        let heading = |at: usize| self.headings[at].chars().count();
        let cell = |row: &Vec<String>, at: usize| row.get(at).map_or(0, |cell| cell.chars().count());
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|at| self.rows.iter().map(|row| cell(row, at)).chain([heading(at)]).max().unwrap_or(0))
            .collect();
        let line = |cells: &[String]| {
            let padded: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            padded.join("  ").trim_end().to_owned() + "\n"
        };
        let headings: Vec<String> = self.headings.iter().map(|heading| (*heading).to_owned()).collect();
        let mut text = line(&headings);
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }
}

/// What a device has sent may hold anything; a terminal is not to obey it.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|of| if of.is_control() { '\u{fffd}' } else { of }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut grid = Grid::new(&["PATH", "VALUE"]);
        grid.push(vec!["/3303/0/5700".into(), "21.5".into()]);
        grid.push(vec!["/3/0".into(), String::new()]);
        assert_eq!(grid.render(), "PATH          VALUE\n/3303/0/5700  21.5\n/3/0          -\n");
    }

    #[test]
    fn a_device_cannot_steer_the_terminal() {
        let mut grid = Grid::new(&["A"]);
        grid.push(vec!["\u{1b}[2Jx\ny".into()]);
        let text = grid.render();
        assert!(!text.contains('\u{1b}') && text.lines().count() == 2, "{text:?}");
    }
}

/// A Markdown table whose columns are padded to be readable as plain text. The first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let format_row = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} "));
        format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
    };
    let rule: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let (head, body) = rows.split_first().expect("a table has a head");
    [format_row(head), format_row(&rule)].into_iter().chain(body.iter().map(|row| format_row(row))).collect()
}

//! Lines over a common axis, drawn as SVG whose colours are the page's.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// One line, and around it a band where it stands for several.
pub(super) struct Line {
    pub name: String,
    /// By x; a gap where there is no number.
    pub points: Vec<(f64, Option<f64>)>,
    /// The least and the greatest, by x.
    pub band: Vec<(f64, f64, f64)>,
}

/// What is drawn.
pub(super) struct Chart<'a> {
    pub x: &'a str,
    pub y: &'a str,
    /// Whether the y axis is logarithmic.
    pub is_logarithmic: bool,
    pub lines: &'a [Line],
}

const SIZE: (u32, u32) = (680, 340);
/// Room at the right for the names of lines.
const NAMES: u32 = 150;
/// Stand for the page's colours until the picture is done; no picture uses them otherwise.
const INK: RGBColor = RGBColor(1, 1, 1);
const QUIET: RGBColor = RGBColor(1, 1, 2);
const GRID: RGBColor = RGBColor(1, 1, 3);
const PALETTE: u8 = 8;

fn colour(index: usize) -> RGBColor {
    RGBColor(1, 2, (index % usize::from(PALETTE)) as u8)
}

impl Chart<'_> {
    /// The picture, or an empty one where there is no number to draw.
    pub(crate) fn svg(&self) -> String {
        let Some((xs, ys)) = self.ranges() else { return String::new() };
        let mut svg = String::new();
        // drawing into a string cannot fail
        let _ = self.draw(&mut svg, xs, ys);
        themed(&svg)
    }

    /// A number that the axis can show.
    fn shown(&self, y: f64) -> bool {
        y.is_finite() && (!self.is_logarithmic || y > 0.0)
    }

    fn ranges(&self) -> Option<((f64, f64), (f64, f64))> {
        let all = self.lines.iter().flat_map(|line| {
            let points = line.points.iter().filter_map(|(x, y)| Some((*x, (*y)?)));
            points.chain(line.band.iter().flat_map(|(x, low, high)| [(*x, *low), (*x, *high)]))
        });
        let all: Vec<(f64, f64)> = all.filter(|(_, y)| self.shown(*y)).collect();
        let range = |values: &dyn Fn(&(f64, f64)) -> f64| {
            let mut values = all.iter().map(values);
            let first = values.next()?;
            Some(values.fold((first, first), |(low, high), value| (low.min(value), high.max(value))))
        };
        let (xs, (low, high)) = (range(&|point| point.0)?, range(&|point| point.1)?);
        let ys = match self.is_logarithmic {
            true => (low / 2.0, high * 2.0),
            false => (low.min(0.0), high + (high - low.min(0.0)).max(1e-9) * 0.05),
        };
        Some(((xs.0, if xs.1 > xs.0 { xs.1 } else { xs.0 + 1.0 }), ys))
    }

    fn draw(
        &self,
        svg: &mut String,
        xs: (f64, f64),
        ys: (f64, f64),
    ) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut builder = ChartBuilder::on(&root);
        builder.margin(10).margin_right(NAMES).x_label_area_size(42).y_label_area_size(66);
        macro_rules! draw {
            ($ys:expr) => {{
                let mut chart = builder.build_cartesian_2d(xs.0..xs.1, $ys).map_err(converted)?;
                let style = ("sans-serif", 14).into_font().color(&QUIET);
                chart
                    .configure_mesh()
                    .disable_x_mesh()
                    .axis_style(GRID)
                    .bold_line_style(GRID)
                    .light_line_style(TRANSPARENT)
                    .label_style(style)
                    .x_desc(self.x)
                    .y_desc(self.y)
                    .x_labels(8)
                    .y_labels(7)
                    .x_label_formatter(&|x| format!("{x:.0}"))
                    .y_label_formatter(&|y| self.label(*y))
                    .draw()
                    .map_err(converted)?;
                for (index, line) in self.lines.iter().enumerate() {
                    let band: Vec<&(f64, f64, f64)> =
                        line.band.iter().filter(|(_, low, high)| self.shown(*low) && self.shown(*high)).collect();
                    let above = band.iter().map(|(x, _, high)| (*x, *high));
                    let outline: Vec<(f64, f64)> =
                        above.chain(band.iter().rev().map(|(x, low, _)| (*x, *low))).collect();
                    if outline.len() > 2 {
                        let polygon = Polygon::new(outline, colour(index).mix(0.15));
                        chart.draw_series(std::iter::once(polygon)).map_err(converted)?;
                    }
                    for run in self.runs(line) {
                        let series = LineSeries::new(run, colour(index).stroke_width(2));
                        chart.draw_series(series).map_err(converted)?;
                    }
                }
                let ends = self.lines.iter().map(|line| self.last(line).map(|(x, y)| chart.backend_coord(&(x, y))));
                ends.collect::<Vec<_>>()
            }};
        }
        let ends = match self.is_logarithmic {
            true => draw!((ys.0..ys.1).log_scale()),
            false => draw!(ys.0..ys.1),
        };
        self.name(&root, ends)?;
        root.present().map_err(converted)
    }

    /// Each line's name beside its end, apart from the others; a line that shows nothing is named below them.
    fn name<B: DrawingBackend<ErrorType = std::io::Error>>(
        &self,
        root: &DrawingArea<B, plotters::coord::Shift>,
        ends: Vec<Option<(i32, i32)>>,
    ) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        const APART: i32 = 17;
        let right = SIZE.0 as i32 - NAMES as i32 + 8;
        let mut places: Vec<(usize, i32)> = ends.iter().enumerate().filter_map(|(i, e)| Some((i, (*e)?.1))).collect();
        places.sort_by_key(|(place, y)| (*y, *place));
        let mut least = 12;
        for (_, y) in &mut places {
            *y = (*y).max(least);
            least = *y + APART;
        }
        let mut most = SIZE.1 as i32 - 14;
        for (_, y) in places.iter_mut().rev() {
            *y = (*y).min(most);
            most = *y - APART;
        }
        for (index, y) in places {
            let style = ("sans-serif", 14).into_font().color(&colour(index)).pos(Pos::new(HPos::Left, VPos::Center));
            let name = &self.lines[index].name;
            root.draw(&Text::new(name.clone(), (right, y), style)).map_err(converted)?;
        }
        Ok(())
    }

    fn last(&self, line: &Line) -> Option<(f64, f64)> {
        line.points.iter().rev().find_map(|(x, y)| Some((*x, (*y).filter(|y| self.shown(*y))?)))
    }

    /// The stretches of a line without a gap.
    fn runs(&self, line: &Line) -> Vec<Vec<(f64, f64)>> {
        let mut runs = vec![Vec::new()];
        for (x, y) in &line.points {
            match (y.filter(|y| self.shown(*y)), runs.last_mut()) {
                (Some(y), Some(run)) => run.push((*x, y)),
                (Some(_), None) => {}
                (None, _) => runs.push(Vec::new()),
            }
        }
        runs.retain(|run| !run.is_empty());
        runs
    }

    fn label(&self, y: f64) -> String {
        match self.is_logarithmic {
            true => format!("{y:.0e}"),
            false if y.fract() == 0.0 => format!("{y:.0}"),
            false => format!("{y:.1}"),
        }
    }
}

fn converted<E: std::error::Error + Send + Sync>(
    error: DrawingAreaErrorKind<E>,
) -> DrawingAreaErrorKind<std::io::Error> {
    DrawingAreaErrorKind::BackendError(DrawingErrorKind::DrawingError(std::io::Error::other(error.to_string())))
}

use plotters::drawing::DrawingAreaErrorKind;
use plotters_backend::DrawingErrorKind;

/// The picture with the page's colours, and without a size of its own.
fn themed(svg: &str) -> String {
    let mut themed = svg.to_string();
    for (colour, variable) in [(INK, "ink"), (QUIET, "quiet"), (GRID, "grid")] {
        themed = themed.replace(&hexadecimal(colour), &format!("var(--{variable})"));
    }
    for index in 0..PALETTE {
        themed = themed.replace(&hexadecimal(colour(usize::from(index))), &format!("var(--c{index})"));
    }
    themed
}

fn hexadecimal(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

//! Line charts in SVG.

use std::path::Path;

use plotters::{
    coord::{
        Shift,
        ranged1d::{AsRangedCoord, ValueFormatter},
    },
    prelude::{
        ChartBuilder, Color, DrawingArea, IntoDrawingArea, IntoLogRange, LineSeries, Palette, Palette99,
        PathElement, SVGBackend, Text, WHITE,
    },
};

use crate::cli_error::CliError;

const SIZE: (u32, u32) = (900, 420);
/// Left edge of the legend and its line height, in pixels.
const LEGEND: (u32, i32) = (760, 20);

/// A line chart.
pub struct Plot<'a> {
    /// Above the chart.
    pub title: &'a str,
    /// Label of each axis, with its unit.
    pub axes: [&'a str; 2],
    /// Whether each axis is logarithmic.
    pub logarithmic: [bool; 2],
    /// Formats a value of the first axis.
    pub x_label: fn(f64) -> String,
    /// Name and points of each line.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Plot<'_> {
    /// Writes the chart to an SVG file.
    ///
    /// # Errors
    /// The chart cannot be drawn or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), CliError> {
        let mut svg = String::new();
        let draw_error = |error: &dyn std::fmt::Display| CliError(format!("{}: {error}", path.display()));
        self.draw(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area())
            .map_err(|error| draw_error(&error))?;
        std::fs::write(path, svg).map_err(|error| CliError::from_io(path, &error))
    }

    fn draw(&self, area: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let range = |value: fn(&(f64, f64)) -> f64, is_logarithmic: bool| {
            let highest = points().map(value).fold(f64::MIN_POSITIVE, f64::max);
            let lowest = points().map(value).fold(highest, f64::min);
            #[expect(clippy::float_arithmetic, reason = "coordinates of a chart")]
            if is_logarithmic { lowest * 0.9..highest * 1.1 } else { 0.0..highest * 1.1 }
        };
        let (x, y) =
            (range(|point| point.0, self.logarithmic[0]), range(|point| point.1, self.logarithmic[1]));
        match self.logarithmic {
            [false, false] => self.draw_on(area, x, y),
            [true, false] => self.draw_on(area, x.log_scale(), y),
            [false, true] => self.draw_on(area, x, y.log_scale()),
            [true, true] => self.draw_on(area, x.log_scale(), y.log_scale()),
        }
    }

    fn draw_on<X, Y>(&self, area: &Area<'_>, x: X, y: Y) -> Result<(), Box<dyn std::error::Error>>
    where
        X: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
        Y: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
    {
        area.fill(&WHITE)?;
        let (plot, legend) = area.split_horizontally(LEGEND.0);
        let mut chart = ChartBuilder::on(&plot);
        chart.caption(self.title, ("sans-serif", 18)).margin(14).x_label_area_size(44).y_label_area_size(64);
        let mut chart = chart.build_cartesian_2d(x, y)?;
        let x_label = |x: &f64| (self.x_label)(*x);
        let mesh = &mut chart.configure_mesh();
        mesh.x_desc(self.axes[0]).y_desc(self.axes[1]).light_line_style(WHITE.mix(0.0));
        mesh.x_label_formatter(&x_label).y_label_formatter(&format_number).draw()?;
        for (index, (name, points)) in (1..).zip(&self.lines) {
            let line = Palette99::pick(index).stroke_width(2);
            chart.draw_series(LineSeries::new(points.iter().copied(), line))?;
            let y = 40 + LEGEND.1 * i32::try_from(index)?;
            legend.draw(&PathElement::new([(0, y), (18, y)], line))?;
            legend.draw(&Text::new(name.as_str(), (24, y - 6), ("sans-serif", 12)))?;
        }
        Ok(area.present()?)
    }
}

/// With at most three decimals.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that plotters requires")]
fn format_number(value: &f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

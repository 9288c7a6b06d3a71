use std::fmt::Write;

use crate::bench::Point;

/// The levels of a tool.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 60.0;

/// Colours that differ in lightness as well as in hue, on a light and on a dark ground.
const STYLE: &str = "
text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#57606a}
.title{font-size:16px;font-weight:600;fill:#1f2328}
.level{font-size:11px;paint-order:stroke;stroke:#ffffff;stroke-width:3px;stroke-linejoin:round}
.grid{stroke:#d0d7de;stroke-width:1}
.ground{fill:#ffffff}
.line{fill:none;stroke-width:2.5;stroke-linejoin:round;stroke-linecap:round}
.halo{stroke:#ffffff;stroke-width:1.5}
.s0{stroke:#cf222e}.f0{fill:#cf222e}
.s1{stroke:#6e7781}.f1{fill:#6e7781}
.s2{stroke:#0969da}.f2{fill:#0969da}
.s3{stroke:#bf8700}.f3{fill:#bf8700}
.s4{stroke:#1a7f37}.f4{fill:#1a7f37}
@media (prefers-color-scheme:dark){
text{fill:#9da7b3}.title{fill:#f0f6fc}.grid{stroke:#30363d}.ground{fill:#0d1117}.halo,.level{stroke:#0d1117}
.s0{stroke:#ff7b72}.f0{fill:#ff7b72}
.s1{stroke:#8b949e}.f1{fill:#8b949e}
.s2{stroke:#58a6ff}.f2{fill:#58a6ff}
.s3{stroke:#e3b341}.f3{fill:#e3b341}
.s4{stroke:#56d364}.f4{fill:#56d364}
}";

const COLOURS: usize = 5;

/// Ratio against speed, each tool a line through its levels. Up and to the right is better.
pub(crate) fn svg(title: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let x = Axis::new(
        points().map(|point| point.wall.log10()),
        0.04,
        LEFT,
        WIDTH - RIGHT,
    );
    let y = Axis::new(
        points().map(|point| point.ratio),
        0.06,
        HEIGHT - BOTTOM,
        TOP,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Compression ratio against speed\"><style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"28\">Compression ratio against speed: {title}</text>\n"
    );
    grid(&mut svg, &x, &y);
    let mut legend = LEFT;
    for (i, series) in series.iter().enumerate() {
        let colour = i % COLOURS;
        let places = || {
            series
                .points
                .iter()
                .map(|point| (x.at(point.wall.log10()), y.at(point.ratio)))
        };
        let line: Vec<String> = places().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline class=\"line s{colour}\" points=\"{}\"/>",
            line.join(" ")
        );
        for ((px, py), point) in places().zip(&series.points) {
            let _ = writeln!(
                svg,
                "<circle class=\"halo f{colour}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"4.5\"><title>{} -{}: {:.0} MB/s, ratio {:.3}</title></circle>\
                 <text class=\"level f{colour}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                series.name,
                point.level,
                point.wall,
                point.ratio,
                px + 6.0,
                py - 6.0,
                point.level
            );
        }
        let _ = writeln!(
            svg,
            "<circle class=\"f{colour}\" cx=\"{:.1}\" cy=\"46\" r=\"5\"/><text x=\"{:.1}\" y=\"50.5\">{}</text>",
            legend + 5.0,
            legend + 15.0,
            series.name
        );
        legend += 34.0 + 7.5 * series.name.len() as f64;
    }
    svg.push_str("</svg>\n");
    svg
}

fn grid(svg: &mut String, x: &Axis, y: &Axis) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let speeds = (-1..6).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
    for speed in speeds.filter(|speed| x.holds(speed.log10())) {
        let at = x.at(speed.log10());
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{speed}</text>",
            bottom + 18.0
        );
    }
    let step = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
        .into_iter()
        .find(|step| (y.high - y.low) / step <= 9.0)
        .unwrap_or(10.0);
    let mut ratio = (y.low / step).ceil() * step;
    while ratio <= y.high {
        let at = y.at(ratio);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{ratio:.1}</text>",
            LEFT - 8.0,
            at + 4.5
        );
        ratio += step;
    }
    let (middle, centre) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
    let _ = writeln!(
        svg,
        "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">MB/s of uncompressed data, by the clock (log scale) →</text>\n\
         <text transform=\"translate(18 {centre}) rotate(-90)\" text-anchor=\"middle\">compression ratio →</text>",
        HEIGHT - 16.0
    );
}

/// From values to places.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, margin: f64, from: f64, to: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let margin = (high - low).max(0.01) * margin;
        Self {
            low: low - margin,
            high: high + margin,
            from,
            to,
        }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

use super::*;

const ORTHOGONAL: Scheme = Scheme::Orthogonal { gain: 1.0 };

/// The largest deviation of the Gram matrix of the rows (or columns, where there are fewer) from gain² times the identity.
fn worst(values: &[f32], rows: usize, columns: usize, gain: f64) -> f64 {
    let at = |r: usize, c: usize| f64::from(values[r * columns + c]);
    let (short, long) = (rows.min(columns), rows.max(columns));
    let element = |i: usize, k: usize| if rows <= columns { at(i, k) } else { at(k, i) };
    let mut worst = 0f64;
    for i in 0..short {
        for j in 0..=i {
            let dot: f64 = (0..long).map(|k| element(i, k) * element(j, k)).sum();
            worst = worst.max((dot - if i == j { gain * gain } else { 0.0 }).abs());
        }
    }
    worst
}

#[test]
fn orthogonal_matrices_are_orthogonal_whichever_side_is_longer() {
    for (rows, columns) in [(1, 1), (1, 7), (7, 1), (5, 5), (64, 64), (96, 40), (40, 96), (130, 33)] {
        let values = whole("orthogonal", &ORTHOGONAL, &[rows as u64, columns as u64]);
        let worst = worst(&values, rows, columns, 1.0);
        assert!(worst < 1e-5, "{rows}x{columns}: {worst}");
    }
    // a large one, of which every 40th row is looked at
    let large = whole("large", &ORTHOGONAL, &[640, 900]);
    let rows: Vec<f32> = large.chunks_exact(900).step_by(40).flatten().copied().collect();
    assert!(worst(&rows, 16, 900, 1.0) < 1e-5);
    let values = whole("gain", &Scheme::Orthogonal { gain: 1.5 }, &[20, 30]);
    assert!(worst(&values, 20, 30, 1.5) < 2e-5);
}

#[test]
fn a_kernel_is_flattened_to_outputs_and_the_rest() {
    let scheme = resolve("orthogonal", Fans::linear(1, 1), &[8, 3, 3, 3]);
    let values = whole("kernel", &scheme.scheme, &[8, 3, 3, 3]);
    assert!(worst(&values, 8, 27, 1.0) < 1e-5);
    let mean_square = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / values.len() as f64;
    assert!((mean_square.sqrt() - scheme.std.unwrap()).abs() < 1e-6, "{mean_square}");
}

#[test]
fn orthogonal_matrices_are_uniform_over_the_group() {
    // without the sign of R the mean trace of 64 x 64 is −4.6; uniform, it has mean 0 and deviation 1
    let (size, draws) = (12usize, 400);
    let traces: Vec<f64> = (0..draws)
        .map(|i| {
            let values = whole(&format!("haar.{i}"), &ORTHOGONAL, &[size as u64, size as u64]);
            (0..size).map(|d| f64::from(values[d * (size + 1)])).sum()
        })
        .collect();
    let mean = traces.iter().sum::<f64>() / f64::from(draws);
    let square = traces.iter().map(|trace| trace * trace).sum::<f64>() / f64::from(draws);
    assert!(mean.abs() < 0.2, "mean trace {mean}");
    assert!((square - 1.0).abs() < 5.0 * (2.0 / f64::from(draws)).sqrt(), "mean squared trace {square}");
}

#[test]
fn a_single_element_is_plus_or_minus_one_equally_often() {
    let positive = (0..400).filter(|i| whole(&format!("one.{i}"), &ORTHOGONAL, &[1, 1])[0] == 1.0).count();
    assert!((150..250).contains(&positive), "{positive}");
}

#[test]
fn orthogonal_bits_do_not_depend_on_the_threads_around_them() {
    let alone = whole("threads", &ORTHOGONAL, &[200, 150]);
    let together: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4).map(|_| scope.spawn(|| whole("threads", &ORTHOGONAL, &[200, 150]))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    assert!(together.iter().all(|values| values == &alone));
}

#[test]
fn every_column_of_a_sparse_matrix_has_exactly_its_zeros() {
    for (rows, columns, sparsity) in
        [(10usize, 40usize, 0.25), (10, 7, 0.0), (10, 7, 1.0), (3, 5, 0.1), (100, 3, 0.9), (1, 4, 0.5)]
    {
        let values = whole("sparse", &Scheme::Sparse { sparsity, std: 0.1 }, &[rows as u64, columns as u64]);
        let expected = (sparsity * rows as f64).ceil() as usize;
        for column in 0..columns {
            let zeros = values.iter().skip(column).step_by(columns).filter(|value| **value == 0.0).count();
            assert_eq!(zeros, expected, "{rows}x{columns} {sparsity}, column {column}");
        }
    }
}

#[test]
fn zeros_fall_on_every_row_alike_and_the_others_keep_their_draws() {
    let (rows, columns) = (8usize, 4000usize);
    let scheme = Scheme::Sparse { sparsity: 0.5, std: 1.0 };
    let values = whole("sparse", &scheme, &[rows as u64, columns as u64]);
    for row in values.chunks(columns) {
        let zeros = row.iter().filter(|value| **value == 0.0).count() as f64;
        assert!((zeros - 2000.0).abs() < 5.0 * 1000f64.sqrt(), "{zeros}");
    }
    let draws = drawn(0, "sparse", &NORMAL, rows * columns);
    assert!(values.iter().zip(&draws).all(|(value, draw)| *value == 0.0 || value == draw));
    let variance = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / values.len() as f64;
    let promised = resolve("sparse(sparsity=0.5, std=1)", Fans::linear(1, 1), &[8, 4000]).std.unwrap();
    assert!((variance.sqrt() / promised - 1.0).abs() < 0.03, "{variance} {promised}");
}

#[test]
fn the_identity_is_padded_with_zeros() {
    assert_eq!(whole("", &Scheme::Identity, &[2, 3]), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(whole("", &Scheme::Identity, &[3, 2]), [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
}

/// The definition, as `torch.nn.init.dirac_` loops over it.
fn dirac_by_definition(shape: &[u64], groups: u64) -> Vec<f32> {
    let taps: u64 = shape[2..].iter().product();
    let mut expected = vec![0f32; (shape[0] * shape[1] * taps) as usize];
    let per_group = shape[0] / groups;
    for group in 0..groups {
        for d in 0..per_group.min(shape[1]) {
            let mut tap = 0;
            for size in &shape[2..] {
                tap = tap * size + size / 2;
            }
            expected[(((group * per_group + d) * shape[1] + d) * taps + tap) as usize] = 1.0;
        }
    }
    expected
}

#[test]
fn a_dirac_kernel_copies_its_channels_group_by_group() {
    let shapes: [(&[u64], u64); 6] = [
        (&[2, 2, 3], 1),
        (&[4, 2, 3, 3], 2),
        (&[6, 1, 3, 5], 6),
        (&[2, 5, 2, 2], 1),
        (&[5, 2, 1, 2, 3], 1),
        (&[0, 3, 3], 1),
    ];
    for (shape, groups) in shapes {
        let values = whole("", &Scheme::Dirac { groups }, shape);
        assert_eq!(values, dirac_by_definition(shape, groups), "{shape:?} {groups}");
        let ones = values.iter().filter(|value| **value == 1.0).count() as u64;
        assert_eq!(ones, groups * (shape[0] / groups).min(shape[1]));
    }
    let layer = LayerFacts { fans: None, shape: &[4, 2, 3, 3], groups: 2 };
    let SchemeSpec::Formula(dirac) = spec("dirac_") else { panic!() };
    assert_eq!(dirac.resolve(layer).unwrap().scheme, Scheme::Dirac { groups: 2 });
    let uneven = filled("", &Scheme::Dirac { groups: 3 }, &[4, 2, 3]);
    assert!(
        matches!(
            uneven.as_ref().err().and_then(Error::downcast_ref),
            Some(InitError::Groups { groups: 3, channels: 4 })
        ),
        "{uneven:?}"
    );
    assert!(filled("", &Scheme::Dirac { groups: 0 }, &[4, 2, 3]).is_err());
}

#[test]
fn scratch_covers_the_matrices_and_never_overflows() {
    assert_eq!(NORMAL.scratch(&[u64::MAX, u64::MAX]), 0);
    let matrix = 300 * 200 * 4;
    assert!((matrix..3 * matrix).contains(&ORTHOGONAL.scratch(&[300, 200])));
    assert_eq!(ORTHOGONAL.scratch(&[0, 200]), 0);
    assert_eq!(ORTHOGONAL.scratch(&[1 << 40, 1 << 40]), u64::MAX);
    assert_eq!(Scheme::Sparse { sparsity: 0.5, std: 1.0 }.scratch(&[10, 20]), 10 * 20 * 4 + 10 * 16);
}

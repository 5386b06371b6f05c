// Sums in float64 to judge float64 by.

/// Σ terms with what each addition loses added in the end (Neumaier): within 2 u of the sum for terms of one sign.
func compensatedSum(_ terms: some Sequence<Double>) -> Double {
    var (total, lost) = (0.0, 0.0)
    for term in terms {
        let next = total + term
        lost += abs(total) >= abs(term) ? (total - next) + term : (term - next) + total
        total = next
    }
    return total + lost
}

import CSIMD
import Testing

@Suite struct DispatchTests {
    @Test func referenceIsLastAndAlwaysSupported() {
        let last = csimd_row_count() - 1
        #expect(String(cString: csimd_row_name(last)) == "ref")
        #expect(csimd_row_supported(last))
    }

    @Test func aThreadChoosesARowAndGoesBack() {
        let standard = csimd_active_row()
        let last = csimd_row_count() - 1
        #expect(csimd_set_thread_row(last) == CSIMD_OK)
        #expect(csimd_active_row() == last)
        #expect(csimd_set_thread_row(-1) == CSIMD_OK)
        #expect(csimd_active_row() == standard)
        #expect(csimd_set_thread_row(csimd_row_count()) == CSIMD_INVALID_ARGUMENT)
    }

    @Test func everyFamilyHasKernelsInTheReferenceRow() {
        #expect(csimd_set_thread_row(csimd_row_count() - 1) == CSIMD_OK)
        #expect(csimd_family_count() > 0)
        for family in 0..<csimd_family_count() {
            #expect(csimd_family_row(family) == csimd_row_count() - 1)
            #expect(String(cString: csimd_family_name(family)) != "")
        }
        #expect(csimd_set_thread_row(-1) == CSIMD_OK)
    }

    @Test func everySupportedRowMeasuresAPositiveRate() throws {
        for row in 0..<csimd_row_count() where csimd_row_supported(row) {
            #expect(csimd_set_thread_row(row) == CSIMD_OK)
            #expect(csimd_measure_fma_peak(0.01) > 1e6)
        }
        #expect(csimd_set_thread_row(-1) == CSIMD_OK)
    }
}

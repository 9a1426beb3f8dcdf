"""Kernels are counted by the kind that their names tell, as seen on an H200."""

import kernels
import pytest


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16_knob_26_64x64x64_1x4x1_cga1x1x1_kernel0_0", "attention"),
        ("void cudnn::fusion::convert_dq_to_16bits<true>(void const*, void*)", "attention"),
        ("attend_over_time_backward", "attention"),
        ("void cutlass::device_kernel<flash::enable_sm90<flash::FlashAttnBwdSm90<flash::CollectiveMainloopBwdSm90<2>>>>", "attention"),
        ("nvjet_sm90_tst_128x160_64x5_2x1_v_bz_TNT", "matrix products"),
        ("void cublasLt::splitKreduce_kernel<32, 16, int>(float)", "matrix products"),
        ("input_add_transpose_fusion_10", "transposes and copies"),
        ("input_add_reduce_fusion_2", "the rest"),
    ],
)
def test_a_kernel_is_of_the_kind_that_its_name_tells(name, kind):
    assert kernels.kind_of(name) == kind

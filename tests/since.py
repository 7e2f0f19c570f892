"""What the tests of older versions of Keras and TensorFlow (`tox -e oldest`) go without, and why."""

import keras


def since(*version: int) -> bool:
    """Tells whether Keras is of a version, such as `3, 14`, or newer."""
    return tuple(int(part) for part in keras.__version__.split(".")[:2]) >= version


GATE = {"use_gate": True} if since(3, 14) else {}
"""Arguments of a layer of attention."""

NEWER_MODULES = [] if since(3, 15) else ["graph/test_rules_reductions.py", "graph/test_rules_simple.py"]
"""They name operations at import that older versions of Keras have not."""

ABSENT, BUGS, CONVERTER = "Keras has it since 3.14 or 3.15", "Keras before 3.15 is wrong here", "of TensorFlow 2.21"
NEWER_TESTS = {
    "test_a_constant_that_units_are_multiplied_with_is_cut_with_them": BUGS,  # `ops.inner` of symbolic tensors
    "test_a_dimension_of_any_size": CONVERTER,
    "test_a_file_of_the_first_version_is_read": ABSENT,  # what its initializers say
    "test_a_file_that_takes_several_samples_at_a_time": CONVERTER,
    "test_a_file_without_floats_comes_of_it_without_data": CONVERTER,  # it warns
    "test_a_layer_whose_code_can_be_read_needs_no_config[no config]": BUGS,
    "test_a_model_trains_and_comes_back_from_its_file[transposed-trained_ternary-mixed_float16]": BUGS,
    "test_a_view_that_cannot_be_made_anew_is_named[True]": ABSENT,  # layers beside the graph of a functional model
    "test_an_input_that_leads_nowhere_is_listed": ABSENT,
    "test_axes_are_aligned_at_their_last_and_size_one_is_broadcast": ABSENT,  # inputs that are outputs
    "test_counts_are_those_of_the_profile_and_options_survive[window]": ABSENT,
    "test_evaluation_is_that_of_the_student": BUGS,  # arrays, where there should be numbers
    "test_every_layer_and_every_operation_has_a_rule_or_a_reason": ABSENT,
    "test_full_rank_is_exact[window-False]": ABSENT,
    "test_full_rank_is_exact[window-True]": ABSENT,
    "test_get_config_may_ask_what_a_layer_holds[ByOrder]": BUGS,  # ordered dictionaries become others
    "test_islands_are_named_with_their_layer_and_the_reason": CONVERTER,
    "test_layers_that_a_model_holds_beside_its_graph_stay_and_train_on": ABSENT,
    "test_losses_and_metrics_go_by_the_names_of_the_students_outputs_whatever_the_teachers_are_called": BUGS,
    "test_no_reason_is_given_for_what_has_a_rule_or_does_not_exist": ABSENT,
    "test_slices_and_positions_are_counted_anew": BUGS,  # `ops.slice` of batches of any size
    "test_the_file_is_that_of_the_exporter_of_keras": BUGS,  # paths
    "test_the_operations_that_have_a_rule_by_name_exist_in_keras": ABSENT,
    "test_units_are_found_where_the_operation_puts_them[flip]": BUGS,
    "test_units_are_found_where_the_operation_puts_them[squeeze all]": BUGS,
    "test_units_that_meet_positions_in_a_sum_stay_whole_and_others_are_handed_on": BUGS,  # `ops.inner`, `ops.vecdot`
    "test_what_is_none_by_name_is_untouched_by_every_step[export]": CONVERTER,
}


def why_not(item) -> str | None:
    """Returns why a test is nothing for the versions that are installed."""
    if since(3, 15):
        return None
    return NEWER_TESTS.get(item.name) or NEWER_TESTS.get(item.originalname)

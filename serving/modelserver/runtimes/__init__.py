"""From a version's folder to signatures that run: OpenVINO for what it can, TensorFlow for the rest.

    protocol             what the server asks of a version    choice               the door: each signature's runtime
    saved_model  graph   the file, and what a graph reaches   compiled_version     read, verified and compiled
    host_side            what a card lets us prepare here     precision  machine   what is allowed, what the CPU has
    on_openvino          signatures that run                  on_tensorflow        the same in a session
    openvino_conversion  SavedModel to OpenVINO               openvino_quantized   the int8 form instead
    openvino_compiled    programs, as bytes too               openvino_program     one program and its memory
    openvino_shapes      which shapes are let in              openvino_source      the graph, while it is needed
    openvino_growth      programs for a busy model            pool  drain          sharing, closing
    conversion_process   loads beside answers                 conversion_child     the process that it starts
    arguments            dtypes and names of a run

Imports only the shared rooms.
"""

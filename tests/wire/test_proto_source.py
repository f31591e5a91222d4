import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from serving.wire.proto_source import Source

EXAMPLE = """
syntax = "proto3";
package a.b;
import "google/protobuf/wrappers.proto";
// A comment { with brackets };
service S { rpc Ask(Outer) returns (Outer.Inner) {} }
message Outer {
  message Inner { repeated int64 sizes = 1; }
  oneof choice { bool yes = 1; Inner inner = 2; }
  map<string, Inner> by_name = 3;
  google.protobuf.Int64Value limit = 4;
}
"""


def test_names_are_resolved_from_the_inside_out() -> None:
    file = Source("example.proto", EXAMPLE).read()

    outer = {field.name: field for field in file.message_type[0].field}
    assert outer["inner"].type_name == ".a.b.Outer.Inner"
    assert outer["limit"].type_name == ".google.protobuf.Int64Value"
    assert file.service[0].method[0].output_type == ".a.b.Outer.Inner"
    assert list(file.dependency) == ["google/protobuf/wrappers.proto"]


def test_a_map_is_a_repeated_entry_and_a_oneof_binds_its_fields() -> None:
    outer = Source("example.proto", EXAMPLE).read().message_type[0]
    fields = {field.name: field for field in outer.field}

    assert outer.nested_type[1].name == "ByNameEntry"
    assert outer.nested_type[1].options.map_entry
    assert fields["by_name"].label == Field.LABEL_REPEATED
    assert fields["yes"].HasField("oneof_index")
    assert not fields["limit"].HasField("oneof_index")


@pytest.mark.parametrize("text", ["option x = 1;", "message A { int32 a = 1 }", "message A % {}", 'syntax = "proto2";'])
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"x\.proto"):
        Source("x.proto", text).read()

¦4
ª}
.
Identity

input"T
output"T"	
Ttype

NoOp
C
Placeholder
output"dtype"
dtypetype"
shapeshape:"serve*2.21.02v2.21.0-rc1-5-ga481b10260d“
b
float32Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
b
float64Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
b
float16Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
c
bfloat16Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
_
int8Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
`
int16Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
`
int32Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
`
int64Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0	*
shape:ÿÿÿÿÿÿÿÿÿ
`
uint8Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
a
uint16Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
a
uint32Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
a
uint64Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
_
boolPlaceholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0
*
shape:ÿÿÿÿÿÿÿÿÿ
d
	complex64Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
e

complex128Placeholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
a
stringPlaceholder*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
K
IdentityIdentityfloat32*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
M

Identity_1Identityfloat64*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
M

Identity_2Identityfloat16*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
N

Identity_3Identitybfloat16*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
J

Identity_4Identityint8*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
K

Identity_5Identityint16*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
K

Identity_6Identityint32*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
K

Identity_7Identityint64*
T0	*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
K

Identity_8Identityuint8*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
L

Identity_9Identityuint16*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
M
Identity_10Identityuint32*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
M
Identity_11Identityuint64*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
K
Identity_12Identitybool*
T0
*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
N
Identity_13Identityfloat32*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
N
Identity_14Identityfloat64*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
N
Identity_15Identityfloat16*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
O
Identity_16Identitybfloat16*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
K
Identity_17Identityint8*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
L
Identity_18Identityint16*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
L
Identity_19Identityint32*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
L
Identity_20Identityint64*
T0	*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
L
Identity_21Identityuint8*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
M
Identity_22Identityuint16*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
M
Identity_23Identityuint32*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
M
Identity_24Identityuint64*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
K
Identity_25Identitybool*
T0
*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
P
Identity_26Identity	complex64*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
Q
Identity_27Identity
complex128*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
M
Identity_28Identitystring*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
?
init_all_tablesNoOp*&
 _has_manual_control_dependencies(

initNoOp
!
main_opNoOp^init_all_tables"ª""
saved_model_main_op
	
main_op*ç


everythingØ

)
bfloat16

bfloat16:0ÿÿÿÿÿÿÿÿÿ
!
bool
bool:0
ÿÿÿÿÿÿÿÿÿ
-

complex128
complex128:0ÿÿÿÿÿÿÿÿÿ
+
	complex64
complex64:0ÿÿÿÿÿÿÿÿÿ
'
float16
	float16:0ÿÿÿÿÿÿÿÿÿ
'
float32
	float32:0ÿÿÿÿÿÿÿÿÿ
'
float64
	float64:0ÿÿÿÿÿÿÿÿÿ
#
int16
int16:0ÿÿÿÿÿÿÿÿÿ
#
int32
int32:0ÿÿÿÿÿÿÿÿÿ
#
int64
int64:0	ÿÿÿÿÿÿÿÿÿ
!
int8
int8:0ÿÿÿÿÿÿÿÿÿ
%
string
string:0ÿÿÿÿÿÿÿÿÿ
%
uint16
uint16:0ÿÿÿÿÿÿÿÿÿ
%
uint32
uint32:0ÿÿÿÿÿÿÿÿÿ
%
uint64
uint64:0ÿÿÿÿÿÿÿÿÿ
#
uint8
uint8:0ÿÿÿÿÿÿÿÿÿ,
bfloat16 
Identity_16:0ÿÿÿÿÿÿÿÿÿ(
bool 
Identity_25:0
ÿÿÿÿÿÿÿÿÿ.

complex128 
Identity_27:0ÿÿÿÿÿÿÿÿÿ-
	complex64 
Identity_26:0ÿÿÿÿÿÿÿÿÿ+
float16 
Identity_15:0ÿÿÿÿÿÿÿÿÿ+
float32 
Identity_13:0ÿÿÿÿÿÿÿÿÿ+
float64 
Identity_14:0ÿÿÿÿÿÿÿÿÿ)
int16 
Identity_18:0ÿÿÿÿÿÿÿÿÿ)
int32 
Identity_19:0ÿÿÿÿÿÿÿÿÿ)
int64 
Identity_20:0	ÿÿÿÿÿÿÿÿÿ(
int8 
Identity_17:0ÿÿÿÿÿÿÿÿÿ*
string 
Identity_28:0ÿÿÿÿÿÿÿÿÿ*
uint16 
Identity_22:0ÿÿÿÿÿÿÿÿÿ*
uint32 
Identity_23:0ÿÿÿÿÿÿÿÿÿ*
uint64 
Identity_24:0ÿÿÿÿÿÿÿÿÿ)
uint8 
Identity_21:0ÿÿÿÿÿÿÿÿÿtensorflow/serving/predict*Ò
serving_default¾
)
bfloat16

bfloat16:0ÿÿÿÿÿÿÿÿÿ
!
bool
bool:0
ÿÿÿÿÿÿÿÿÿ
'
float16
	float16:0ÿÿÿÿÿÿÿÿÿ
'
float32
	float32:0ÿÿÿÿÿÿÿÿÿ
'
float64
	float64:0ÿÿÿÿÿÿÿÿÿ
#
int16
int16:0ÿÿÿÿÿÿÿÿÿ
#
int32
int32:0ÿÿÿÿÿÿÿÿÿ
#
int64
int64:0	ÿÿÿÿÿÿÿÿÿ
!
int8
int8:0ÿÿÿÿÿÿÿÿÿ
%
uint16
uint16:0ÿÿÿÿÿÿÿÿÿ
%
uint32
uint32:0ÿÿÿÿÿÿÿÿÿ
%
uint64
uint64:0ÿÿÿÿÿÿÿÿÿ
#
uint8
uint8:0ÿÿÿÿÿÿÿÿÿ+
bfloat16
Identity_3:0ÿÿÿÿÿÿÿÿÿ(
bool 
Identity_12:0
ÿÿÿÿÿÿÿÿÿ*
float16
Identity_2:0ÿÿÿÿÿÿÿÿÿ(
float32

Identity:0ÿÿÿÿÿÿÿÿÿ*
float64
Identity_1:0ÿÿÿÿÿÿÿÿÿ(
int16
Identity_5:0ÿÿÿÿÿÿÿÿÿ(
int32
Identity_6:0ÿÿÿÿÿÿÿÿÿ(
int64
Identity_7:0	ÿÿÿÿÿÿÿÿÿ'
int8
Identity_4:0ÿÿÿÿÿÿÿÿÿ)
uint16
Identity_9:0ÿÿÿÿÿÿÿÿÿ*
uint32 
Identity_10:0ÿÿÿÿÿÿÿÿÿ*
uint64 
Identity_11:0ÿÿÿÿÿÿÿÿÿ(
uint8
Identity_8:0ÿÿÿÿÿÿÿÿÿtensorflow/serving/predict
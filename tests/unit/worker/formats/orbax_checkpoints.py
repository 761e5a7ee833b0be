"""Small checkpoints, as orbax-checkpoint 0.12.8 wrote them with jax 0.10.2.

Both hold params.kernel (0 to 11, float32, 3 by 4), params.bias (four ones, bfloat16), opt_state.mu (two zeros, float32), and
step (7, int64).
"""

from __future__ import annotations

import base64

_WRITTEN = {
    "OCDBT": {
        "_METADATA": (
            "eyJ0cmVlX21ldGFkYXRhIjogeyIoJ29wdF9zdGF0ZScsICdtdScpIjogeyJrZXlfbWV0YWRhdGEiOiBbeyJrZXkiOiAib3B0"
            "X3N0YXRlIiwgImtleV90eXBlIjogMn0sIHsia2V5IjogIm11IiwgImtleV90eXBlIjogMn1dLCAidmFsdWVfbWV0YWRhdGEi"
            "OiB7InZhbHVlX3R5cGUiOiAiamF4LkFycmF5IiwgInNraXBfZGVzZXJpYWxpemUiOiBmYWxzZSwgIndyaXRlX3NoYXBlIjog"
            "WzJdfX0sICIoJ3BhcmFtcycsICdiaWFzJykiOiB7ImtleV9tZXRhZGF0YSI6IFt7ImtleSI6ICJwYXJhbXMiLCAia2V5X3R5"
            "cGUiOiAyfSwgeyJrZXkiOiAiYmlhcyIsICJrZXlfdHlwZSI6IDJ9XSwgInZhbHVlX21ldGFkYXRhIjogeyJ2YWx1ZV90eXBl"
            "IjogImpheC5BcnJheSIsICJza2lwX2Rlc2VyaWFsaXplIjogZmFsc2UsICJ3cml0ZV9zaGFwZSI6IFs0XX19LCAiKCdwYXJh"
            "bXMnLCAna2VybmVsJykiOiB7ImtleV9tZXRhZGF0YSI6IFt7ImtleSI6ICJwYXJhbXMiLCAia2V5X3R5cGUiOiAyfSwgeyJr"
            "ZXkiOiAia2VybmVsIiwgImtleV90eXBlIjogMn1dLCAidmFsdWVfbWV0YWRhdGEiOiB7InZhbHVlX3R5cGUiOiAiamF4LkFy"
            "cmF5IiwgInNraXBfZGVzZXJpYWxpemUiOiBmYWxzZSwgIndyaXRlX3NoYXBlIjogWzMsIDRdfX0sICIoJ3N0ZXAnLCkiOiB7"
            "ImtleV9tZXRhZGF0YSI6IFt7ImtleSI6ICJzdGVwIiwgImtleV90eXBlIjogMn1dLCAidmFsdWVfbWV0YWRhdGEiOiB7InZh"
            "bHVlX3R5cGUiOiAic2NhbGFyIiwgInNraXBfZGVzZXJpYWxpemUiOiBmYWxzZX19fSwgInVzZV9vY2RidCI6IHRydWUsICJ1"
            "c2VfemFycjMiOiBmYWxzZSwgInN0b3JlX2FycmF5X2RhdGFfZXF1YWxfdG9fZmlsbF92YWx1ZSI6IHRydWUsICJjdXN0b21f"
            "bWV0YWRhdGEiOiBudWxsfQ=="
        ),
        "d/8f48d7a4b0ebf28c8a6d73f938e22f58": (
            "DNsg3mQBAAAAAAAAAAEotS/9YHACRQoAllE/N1CFOB0wMzU3M4tREXAW08zMBgh6AJbs+3pJ/79oIbKrEVU4ir3OXjT21kjn"
            "QkSVwJOFhjrqTgE0ADAAMQALjgJyFZCb0PpaKZqd1c5YeVkii8kqNWkja5WcKLJhUV95LXU16hwBD1fgDAT+YDg+0PgDEd+2"
            "VEYvmzV2Vfw8EsizNT35cXUthyFXF3cgV2ptVw2jF34PEwfINpNtmAt3DjmJlKkBCRCxOPBMIF+JVWpREmP5cQNDrl1Vamvf"
            "ObcMcm9Taqg5L4sfUywGhtza5lb8OP//n6FwTdI/Qf6J4J/+RwB/vPhjxB8/f4x//F/5OAjpIVQ+lATJlXRalhsAUUQICidi"
            "2FAQ2cQCrtsttYVhAbqVAP4MQhBDDkMIWXvmjAeo4OwANqMQWljCXOCVrTIpr+Z9VDsgYeyJyx+UIrMUuWJCASyWruA="
        ),
        "manifest.ocdbt": (
            "DNs6KnEAAAAAAAAAAAEotS/9IFaxAgDN7c7exQrOEQvrw8U7fUNZAIAIgMLXLwQBAAAAAAEiAGQvOGY0OGQ3YTRiMGViZjI4"
            "YzhhNmQ3M2Y5MzhlMjJmNTgBAQAAAOQCCOQCABUDTWsCgewYANT057I="
        ),
        "ocdbt.process_0/d/47b893612503dfd9a4e5ac14928f7007": (
            "DNsg3gUBAAAAAAAAAAEotS/9YO4BTQcA8gwrJ3BpmgMJrv4P+9eYbZLM0lLTVrXQJ1uvih+kQNjITKcCGG2A19FGAgksHTAI"
            "iU7YnAUzUah3uoVOkw1++sLVV9dCXu3WnqeuT8tH0xpzns44ClfXCOn19OWt3DzI+Klj62mSUG/60Pb01Ry5+mKXqC9k1o0O"
            "Mp4aFAzq7HhPg3EJQggpDgqEEqE8RG1u+lYdnGyxsMvNCMndjCwGj1u0s7npCAUGCApQAAJAKBUA9ssDhRMRZWhQrYWFYQCp"
            "lQC6DIpws7LMGQ+QOFm4ylgkjABehSqT8mreR7Vj+GDPC8kxSYkRswyVWsPg"
        ),
        "ocdbt.process_0/d/722bcd4db43354e759bc1b60cb99232d": (
            "DNsg3mQBAAAAAAAAAAEotS/9YHACRQoAllE/N1CFOB0wMzU3M4tREXAW08zMBgh6AJbs+3pJ/79oIbKrEVU4ir3OXjT21kjn"
            "QkSVwJOFhjrqTgE0ADAAMQALjgJyFZCb0PpaKZqd1c5YeVkii8kqNWkja5WcKLJhUV95LXU16hwBD1fgDAT+YDg+0PgDEd+2"
            "VEYvmzV2Vfw8EsizNT35cXUthyFXF3cgV2ptVw2jF34PEwfINpNtmAt3DjmJlKkBCRCxOPBMIF+JVWpREmP5cQNDrl1Vamvf"
            "ObcMcm9Taqg5L4sfUywGhtza5lb8OP//n6FwTdI/Qf6J4J/+RwB/vPhjxB8/f4x//F/5OAjpIVQ+lATJlXRalhsAUUQICidi"
            "2FAQ2cQCrtsttYVhAbqVAP4MQhBDDkMIWXvmjAeo4OwANqMQWljCXOCVrTIpr+Z9VDsgYeyJyx+UIrMUuWJCASyWruA="
        ),
        "ocdbt.process_0/d/83b85cc9dba9d4317bb93d50e8b8985c": (
            "DNsg3rIAAAAAAAAAAAEotS/9IL+9BAAyCiEhkCfNAf9/sdEyxhJJYmkpmgZbNrJ//54/jBx5NxucE7G1CQTfubYpR10ufPOC"
            "41fRNl5tpR7D61NZOEol5eYDCsHx6gyNbn68c9MpH9YSM10J3SQE8EoLqm6Omg/Ho3QEfhuzrlstuTlADPCMwN6SHFEYCYbc"
            "zcMR8Nahnc2nXQMwiiIFACELYMLkJZPIat6D0VJmbJjNOw=="
        ),
        "ocdbt.process_0/d/d0f0b7a490961bd938113962151a2482": (
            "DNsg3iEBAAAAAAAAAAEotS/9YAQCLQgAgs0vL4A56TMwAzNCaIhhRKCvlW9EkoJsQttth8hakgJleRIvfCzMENJzMn7R+8hw"
            "1b0DDo8xQBocnRE+EYiCEEjIaGAoZB7tndDGx8kJnz3i7atuI682hFPUrhPMigPhe84OeR7erpKl3dmbt7ITxceRQs+dZRzt"
            "UCsKz+6aL29375j2jcy6EhQlZxMPiXamRNNEcoxaFMtiXRisCkmboUarFM4XaRjKTWnBkrt5aRoT1Ghns9NSHCg4WAgqQBEA"
            "KBUZAAeEBwonIspQrCyGsu2wsAEwthJAlyFkmTjAu+2Zkw8Q40y0cQ2WmSVMB16tKvPl1ZSPGgf4IQ4u9BdCYpLCI2YZwZhw"
            "eQ=="
        ),
        "ocdbt.process_0/manifest.ocdbt": (
            "DNs6Ku0AAAAAAAAAAAEotS/9IPWVBgBCzS4sgE062ypZKo+0NaULtyeO31qPCgaxeyfpgMLguCTlljKlxMLWRYHWRHKnLQNJ"
            "crEkxYMhUbRh4kAxKiQXS0YGEQMRAMVkSEKkAnPRpFRNMmofW6hN92lWfdzv+vRqBp2vaH1sr58/aLXndnfK7Bv6d4ztOb9f"
            "3m6P63GN3s1BrDEzf/bRd51by0Vvm2mEDWKwP3pebfXhfu7Y5B3HEchMlVJKjJp8bFQilZQA4tChwYFA8ZCxUEAgEWARBwAg"
            "yErkUAG8KInsxsFhTPZWeQIf/abu"
        ),
    },
    "zarr": {
        "_METADATA": (
            "eyJ0cmVlX21ldGFkYXRhIjogeyIoJ29wdF9zdGF0ZScsICdtdScpIjogeyJrZXlfbWV0YWRhdGEiOiBbeyJrZXkiOiAib3B0"
            "X3N0YXRlIiwgImtleV90eXBlIjogMn0sIHsia2V5IjogIm11IiwgImtleV90eXBlIjogMn1dLCAidmFsdWVfbWV0YWRhdGEi"
            "OiB7InZhbHVlX3R5cGUiOiAiamF4LkFycmF5IiwgInNraXBfZGVzZXJpYWxpemUiOiBmYWxzZSwgIndyaXRlX3NoYXBlIjog"
            "WzJdfX0sICIoJ3BhcmFtcycsICdiaWFzJykiOiB7ImtleV9tZXRhZGF0YSI6IFt7ImtleSI6ICJwYXJhbXMiLCAia2V5X3R5"
            "cGUiOiAyfSwgeyJrZXkiOiAiYmlhcyIsICJrZXlfdHlwZSI6IDJ9XSwgInZhbHVlX21ldGFkYXRhIjogeyJ2YWx1ZV90eXBl"
            "IjogImpheC5BcnJheSIsICJza2lwX2Rlc2VyaWFsaXplIjogZmFsc2UsICJ3cml0ZV9zaGFwZSI6IFs0XX19LCAiKCdwYXJh"
            "bXMnLCAna2VybmVsJykiOiB7ImtleV9tZXRhZGF0YSI6IFt7ImtleSI6ICJwYXJhbXMiLCAia2V5X3R5cGUiOiAyfSwgeyJr"
            "ZXkiOiAia2VybmVsIiwgImtleV90eXBlIjogMn1dLCAidmFsdWVfbWV0YWRhdGEiOiB7InZhbHVlX3R5cGUiOiAiamF4LkFy"
            "cmF5IiwgInNraXBfZGVzZXJpYWxpemUiOiBmYWxzZSwgIndyaXRlX3NoYXBlIjogWzMsIDRdfX0sICIoJ3N0ZXAnLCkiOiB7"
            "ImtleV9tZXRhZGF0YSI6IFt7ImtleSI6ICJzdGVwIiwgImtleV90eXBlIjogMn1dLCAidmFsdWVfbWV0YWRhdGEiOiB7InZh"
            "bHVlX3R5cGUiOiAic2NhbGFyIiwgInNraXBfZGVzZXJpYWxpemUiOiBmYWxzZX19fSwgInVzZV9vY2RidCI6IGZhbHNlLCAi"
            "dXNlX3phcnIzIjogZmFsc2UsICJzdG9yZV9hcnJheV9kYXRhX2VxdWFsX3RvX2ZpbGxfdmFsdWUiOiB0cnVlLCAiY3VzdG9t"
            "X21ldGFkYXRhIjogbnVsbH0="
        ),
        "opt_state.mu/.zarray": (
            "eyJjaHVua3MiOlsyXSwiY29tcHJlc3NvciI6eyJpZCI6InpzdGQiLCJsZXZlbCI6MX0sImRpbWVuc2lvbl9zZXBhcmF0b3Ii"
            "OiIuIiwiZHR5cGUiOiI8ZjQiLCJmaWxsX3ZhbHVlIjpudWxsLCJmaWx0ZXJzIjpudWxsLCJvcmRlciI6IkMiLCJzaGFwZSI6"
            "WzJdLCJ6YXJyX2Zvcm1hdCI6Mn0="
        ),
        "opt_state.mu/0": (
            "KLUv/SAIQQAAAAAAAAAAAAA="
        ),
        "params.bias/.zarray": (
            "eyJjaHVua3MiOls0XSwiY29tcHJlc3NvciI6eyJpZCI6InpzdGQiLCJsZXZlbCI6MX0sImRpbWVuc2lvbl9zZXBhcmF0b3Ii"
            "OiIuIiwiZHR5cGUiOiJiZmxvYXQxNiIsImZpbGxfdmFsdWUiOm51bGwsImZpbHRlcnMiOm51bGwsIm9yZGVyIjoiQyIsInNo"
            "YXBlIjpbNF0sInphcnJfZm9ybWF0IjoyfQ=="
        ),
        "params.bias/0": (
            "KLUv/SAIQQAAgD+AP4A/gD8="
        ),
        "params.kernel/.zarray": (
            "eyJjaHVua3MiOlszLDRdLCJjb21wcmVzc29yIjp7ImlkIjoienN0ZCIsImxldmVsIjoxfSwiZGltZW5zaW9uX3NlcGFyYXRv"
            "ciI6Ii4iLCJkdHlwZSI6IjxmNCIsImZpbGxfdmFsdWUiOm51bGwsImZpbHRlcnMiOm51bGwsIm9yZGVyIjoiQyIsInNoYXBl"
            "IjpbMyw0XSwiemFycl9mb3JtYXQiOjJ9"
        ),
        "params.kernel/0.0": (
            "KLUv/SAwgQEAAAAAAAAAgD8AAABAAABAQAAAgEAAAKBAAADAQAAA4EAAAABBAAAQQQAAIEEAADBB"
        ),
        "step/.zarray": (
            "eyJjaHVua3MiOltdLCJjb21wcmVzc29yIjp7ImlkIjoienN0ZCIsImxldmVsIjoxfSwiZGltZW5zaW9uX3NlcGFyYXRvciI6"
            "Ii4iLCJkdHlwZSI6IjxpOCIsImZpbGxfdmFsdWUiOm51bGwsImZpbHRlcnMiOm51bGwsIm9yZGVyIjoiQyIsInNoYXBlIjpb"
            "XSwiemFycl9mb3JtYXQiOjJ9"
        ),
        "step/0": (
            "KLUv/SAIQQAABwAAAAAAAAA="
        ),
    },
}  # fmt: skip
WRITTEN = {
    kind: {name: base64.b64decode(text) for name, text in files.items()}
    for kind, files in _WRITTEN.items()
}

"""
Reads OpenMetrics text with the parser of Prometheus's own client for Python, which is strict, and prints it as JSON:
{"families": {NAME: TYPE}, "samples": [[NAME, LABELS, VALUE]...]}. Standard input to standard output.
"""
import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families, samples = {}, []
for family in text_string_to_metric_families(sys.stdin.read()):
    families[family.name] = family.type
    for sample in family.samples:
        samples.append([sample.name, sample.labels, sample.value])
json.dump({"families": families, "samples": samples}, sys.stdout)

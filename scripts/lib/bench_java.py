"""Runs what is written in Java beside us, for the benchmarks."""

import os
import pathlib

LOGGING = pathlib.Path(__file__).parents[2] / "integration-tests/foreign/java/log4j2.properties"


def command(tools, heap, main, arguments):
    """The command line of a program in integration-tests/foreign/java; `scripts/prepare` compiles it."""
    java = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else "java"
    jars = f"{tools}/java/classes:{tools}/java/jars/*"
    return [java, f"-Xmx{heap}", f"-Dlog4j2.configurationFile={LOGGING}", "-cp", jars, main, *arguments]

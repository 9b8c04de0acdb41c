"""The values of the Helm chart as typed models. `make chart` generates `values.yaml`, its JSON schema and its table.

A value that means the same as in the official Dagster chart has the same name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

DEFINITIONS = "#/definitions/"
"""The place of shared definitions in the schema."""

DEFINED_BY = "x-defined-by"
"""Replaces `$ref` in the models, because pydantic would resolve that itself."""

_CORE = f"{DEFINITIONS}io.k8s.api.core.v1."

# Kubernetes types are validated with the definitions of Kubernetes.
Affinity = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{_CORE}Affinity"})]
EnvVar = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{_CORE}EnvVar"})]
PodSecurityContext = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{_CORE}PodSecurityContext"})]
Probe = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{_CORE}Probe"})]
ResourceRequirements = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{_CORE}ResourceRequirements"})]
SecurityContext = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{_CORE}SecurityContext"})]
Toleration = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{_CORE}Toleration"})]
TopologySpreadConstraint = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{_CORE}TopologySpreadConstraint"})]
Volume = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{_CORE}Volume"})]
VolumeMount = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{_CORE}VolumeMount"})]
Peer = Annotated[
    dict[str, Any], WithJsonSchema({DEFINED_BY: f"{DEFINITIONS}io.k8s.api.networking.v1.NetworkPolicyPeer"})
]

ScheduleGroups = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{DEFINITIONS}ScheduleGroupsFile"})]
"""The content of the schedule groups file, validated with the schema of the package."""

AlertRoutes = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{DEFINITIONS}AlertRoutesFile"})]
"""The content of the alert routes file, validated with the schema of the package."""

Text = dict[str, str]
Port = Annotated[int, Field(ge=1, le=65535)]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)]
PathPrefix = Annotated[str, Field(pattern=r"^(/[^/ ]+)*$")]


class Model(BaseModel):
    """A part of the values; unknown keys are errors."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Global(Model):
    """Values shared with other charts."""

    model_config = ConfigDict(extra="allow")

    dagster_home: str = Field("/opt/dagster/dagster_home", description="`DAGSTER_HOME` in every container.")


class Image(Model):
    """The image of the server."""

    repository: str = Field(
        "", description="The name of the image, with the registry if it is not the default of the cluster."
    )
    tag: str = Field("", description="The tag of the image.")
    digest: str = Field("", description="The digest of the image (`sha256:…`); overrides the tag.")
    pull_policy: PullPolicy = Field("IfNotPresent", description="When a node pulls the image.")


class LocationImage(Image):
    """The image of one code location."""

    pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""  # type: ignore[assignment] # the chart's


class ImagePullSecret(Model):
    """A Secret with the credentials of an image registry."""

    name: str


class ServiceAccount(Model):
    """A service account."""

    create: bool = Field(default=True, description="Whether the chart creates the service account.")
    name: str = Field("", description="The name; by default derived from the name of the release.")
    annotations: Text = Field({}, description="Annotations, for example for IRSA and other workload identities.")


class ServiceAccounts(Model):
    """The service accounts, one for each set of permissions."""

    webserver: ServiceAccount = Field(
        ServiceAccount(), description="For the web server, which cancels runs: deletes Jobs and Pods."
    )
    daemon: ServiceAccount = Field(
        ServiceAccount(), description="For the daemon, which launches and monitors runs: Jobs, Pods, logs."
    )
    code: ServiceAccount = Field(
        ServiceAccount(), description="For code locations and runs, which have no permissions in Kubernetes."
    )


class Analytics(Model):
    """The settings of the code location; each becomes an environment variable."""

    environment: Literal["staging", "prod"] = Field(
        "prod", description="`ANALYTICS_ENVIRONMENT`: schedules and sensors are on by default only in `prod`."
    )
    time_zone: str = Field("UTC", description="The IANA time zone of schedules that do not set one.")
    landing_url: str = Field("", description="Where raw files arrive; default: `landing` in the bucket of `s3`.")
    outbound_url: str = Field("", description="Where exports are written; default: `outbound` in the bucket of `s3`.")
    reports_url: str = Field("", description="Where reports are written; default: `reports` in the bucket of `s3`.")
    reports_web_url: str = Field("", description="The address of the reports for a browser, for links.")
    webserver_url: str = Field(
        "", description="The address of the UI, for links in messages; default: that of the ingress."
    )
    schedule_groups: ScheduleGroups = Field(
        {}, description="The schedule groups, and the resources of their pods; default: the groups in the image."
    )
    alert_routes: AlertRoutes = Field({}, description="Who is alerted about what; default: the routes in the image.")
    settings: Text = Field({}, description="Any other `ANALYTICS_*` variable without a secret, by name.")


class Profile(Model):
    """Your own dbt profile."""

    existing_secret: str = Field("", description="The Secret that holds the profile, mounted at `/secrets`.")
    existing_secret_key: str = Field("profiles.yml", description="The key of the Secret that holds the profile.")


class WarehousePostgresql(Model):
    """A PostgreSQL server that dbt builds in."""

    host: str = Field("", description="The host; default: the server of `postgresql`.")
    port: Port = 5432
    username: str = Field("", description="The user of dbt; default: that of `postgresql`.")
    database: Identifier = Field(
        "warehouse", description="The database; the bundled server creates it at its first start."
    )
    schema_: str = Field("analytics", alias="schema", description="The schema, or the prefix of the schemas.")
    threads: int = Field(4, ge=1, description="How many models dbt builds at once.")
    existing_secret: str = Field("", description="The Secret with the password; default: that of `postgresql`.")
    existing_secret_password_key: str = "password"  # noqa: S105 - the name of a key


class Warehouse(Model):
    """Where dbt builds."""

    type: Literal["postgresql", "profile"] = Field(
        "postgresql",
        description="`postgresql` uses the profile in the image; `profile` uses your own, for any warehouse.",
    )
    target: str = Field("prod", description="The target of the profile.")
    writers: int | None = Field(
        None, ge=1, description="How many runs can write at once; by default, the number depends on the target."
    )
    postgresql: WarehousePostgresql = WarehousePostgresql()
    profile: Profile = Profile()


class Persistence(Model):
    """The volume of a bundled server."""

    enabled: bool = Field(default=True, description="Whether the data is kept when the pod is deleted.")
    size: Quantity = "8Gi"
    storage_class: str = Field("", description="The storage class; default: that of the cluster.")


class Service(Model):
    """The Service."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    port: Port = 80
    annotations: Text = {}


class PortOnly(Model):
    """The port of a Service inside the cluster."""

    port: Port


class Placement(Model):
    """Where pods run, and their metadata and resources."""

    annotations: Text = Field({}, description="Annotations of the pods.")
    labels: Text = Field({}, description="Labels of the pods.")
    node_selector: Text = {}
    affinity: Affinity = {}
    tolerations: list[Toleration] = []
    topology_spread_constraints: list[TopologySpreadConstraint] = Field(
        [], description="How replicas are spread; default: over nodes, if possible."
    )
    priority_class_name: str = ""
    scheduler_name: str = ""
    pod_security_context: PodSecurityContext = Field(
        {}, description="Replaces the `podSecurityContext` at the top level of the values."
    )
    security_context: SecurityContext = Field(
        {}, description="Replaces the `securityContext` at the top level of the values."
    )
    resources: ResourceRequirements = {}


class Pod(Placement):
    """Pods with the image of the chart."""

    env: list[EnvVar] = Field([], description="Additional environment variables.")
    env_config_maps: list[str] = Field([], description="ConfigMaps whose keys become environment variables.")
    env_secrets: list[str] = Field([], description="Secrets whose keys become environment variables.")
    volumes: list[Volume] = []
    volume_mounts: list[VolumeMount] = []
    termination_grace_period_seconds: int = Field(30, ge=0)
    liveness_probe: Probe = {}
    readiness_probe: Probe = {}
    startup_probe: Probe = {}


class Autoscaling(Model):
    """A HorizontalPodAutoscaler."""

    enabled: bool = False
    min_replicas: int = Field(2, ge=1)
    max_replicas: int = Field(4, ge=1)
    target_cpu_utilization_percentage: int = Field(
        80, ge=1, description="Percentage of the requested CPU.", alias="targetCPUUtilizationPercentage"
    )


class DisruptionBudget(Model):
    """A PodDisruptionBudget, if there is more than one replica. With a single pod it would only block drains."""

    enabled: bool = True
    max_unavailable: int | Annotated[str, Field(pattern="^[0-9]+%$")] = 1


class Webserver(Pod):
    """The web server: UI and GraphQL."""

    replica_count: int = Field(1, ge=0)
    autoscaling: Autoscaling = Autoscaling()
    pod_disruption_budget: DisruptionBudget = DisruptionBudget()
    service: Service = Service()
    path_prefix: PathPrefix = Field("", description="The path of the UI, for example `/dagster`.")
    enable_read_only: bool = Field(default=False, description="Whether to run a second, read-only web server.")
    db_statement_timeout: int = Field(15000, ge=0, description="The timeout of a query in milliseconds.")
    log_level: Literal["critical", "error", "warning", "info", "debug"] = "warning"
    log_format: Literal["colored", "json", "rich"] = "colored"
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}
    liveness_probe: Probe = {"periodSeconds": 20, "timeoutSeconds": 5, "failureThreshold": 3}
    readiness_probe: Probe = {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3}
    startup_probe: Probe = {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 36}


class TagLimit(Model):
    """How many runs with a tag can run at once."""

    key: str
    value: str | dict[Literal["applyLimitPerUniqueValue"], bool] | None = None
    limit: int


class QueuedRunCoordinator(Model):
    """The run queue."""

    max_concurrent_runs: int = Field(10, ge=-1, description="How many runs can run at once; -1 means no limit.")
    tag_concurrency_limits: list[TagLimit] = Field(
        [TagLimit(key="analytics_dagster/schedule_group", value={"applyLimitPerUniqueValue": True}, limit=1)],
        description="Limits by tag; the default allows one run per schedule group at a time.",
    )
    dequeue_interval_seconds: int = Field(5, ge=1)
    dequeue_use_threads: bool = True
    dequeue_num_workers: int = Field(4, ge=1)
    max_user_code_failure_retries: int = Field(
        20, ge=0, description="How often a run is queued again whose code server could not be reached, as in a rollout."
    )
    user_code_failure_retry_delay: int = Field(30, ge=1, description="The seconds until it leaves the queue again.")


class RunCoordinatorConfig(Model):
    """The settings of the queue, at the place that the official chart uses."""

    queued_run_coordinator: QueuedRunCoordinator = QueuedRunCoordinator()


class RunCoordinator(Model):
    """How runs are queued."""

    type: Literal["QueuedRunCoordinator"] = "QueuedRunCoordinator"
    config: RunCoordinatorConfig = RunCoordinatorConfig()


class RunMonitoring(Model):
    """Whether and how the daemon detects runs whose pod is lost."""

    enabled: bool = True
    start_timeout_seconds: int = Field(600, ge=0, description="How long a pod can take to start.")
    cancel_timeout_seconds: int = Field(300, ge=0, description="How long a cancelled run can take to end.")
    max_resume_run_attempts: int = Field(
        0,
        ge=0,
        description="How often a run is resumed after its pod is lost. With 0 the run fails, and the retries of its "
        "schedule group continue it.",
    )
    max_runtime_seconds: int = Field(0, ge=0, description="How long a run can take; 0 means no limit.")
    poll_interval_seconds: int = Field(30, ge=1)
    free_slots_after_run_end_seconds: int = Field(60, ge=0)


class RunRetries(Model):
    """Dagster's own run retries: immediate, for any failure. A sensor makes the retries of schedule groups."""

    enabled: bool = Field(default=True, description="Whether the tag `dagster/max_retries` of a run has an effect.")
    max_retries: int = Field(
        0, ge=0, description="For runs without the tag: other jobs, and materializations in the UI."
    )
    retry_on_asset_or_op_failure: bool = Field(
        default=True, description="Whether to retry after a failed step, and not only after a lost pod."
    )


class Threads(Model):
    """Whether ticks are evaluated in threads, and how many at once."""

    use_threads: bool = True
    num_workers: int = Field(4, ge=1)


class Daemon(Pod):
    """The daemon: schedules, sensors, run queue, run monitoring. There is never more than one."""

    run_coordinator: RunCoordinator = RunCoordinator()
    run_monitoring: RunMonitoring = RunMonitoring()
    run_retries: RunRetries = RunRetries()
    sensors: Threads = Threads()
    schedules: Threads = Threads()
    heartbeat_tolerance: int = Field(
        1800, ge=60, description="Seconds without a heartbeat before the daemon is restarted."
    )
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}
    # Each check starts a Python process that imports Dagster: run it rarely, with a long timeout.
    liveness_probe: Probe = {"periodSeconds": 60, "timeoutSeconds": 30, "failureThreshold": 3}
    startup_probe: Probe = {"periodSeconds": 15, "timeoutSeconds": 30, "failureThreshold": 20}


class IncludeConfig(Model):
    """Whether runs get the settings of the code location."""

    enabled: bool = True


class Deployment(Pod):
    """A code location."""

    name: Name = Field(description="The name in the UI, of the Service and of the Deployment.")
    image: LocationImage = Field(LocationImage(), description="The image; unset fields are those of the chart's image.")
    dagster_api_grpc_args: list[str] = Field(
        ["--module-name", "analytics_dagster.definitions"],
        description="The arguments of `dagster api grpc`: what it loads.",
    )
    port: Port = 3030
    include_config_in_launched_runs: IncludeConfig = Field(
        IncludeConfig(), description="Whether its runs also get its `env…` and volumes."
    )
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}
    liveness_probe: Probe = {"periodSeconds": 20, "timeoutSeconds": 5, "failureThreshold": 6}
    readiness_probe: Probe = {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3}
    startup_probe: Probe = {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 60}


class UserDeployments(Model):
    """The code locations."""

    enabled: bool = True
    deployments: list[Deployment] = Field(
        [Deployment(name="analytics-dagster")], description="One item for each; your list replaces this one."
    )


class RunK8sConfig(Model):
    """Kubernetes configuration of the Job of every run."""

    container_config: dict[str, Any] = {}
    pod_template_spec_metadata: dict[str, Any] = {
        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    }
    pod_spec_config: dict[str, Any] = {"terminationGracePeriodSeconds": 120}
    job_metadata: dict[str, Any] = {}
    job_spec_config: dict[str, Any] = {"ttlSecondsAfterFinished": 86400}


class K8sRunLauncher(Model):
    """How a run is started as a Job."""

    env_config_maps: list[str] = Field([], description="ConfigMaps whose keys become environment variables.")
    env_secrets: list[str] = Field([], description="Secrets whose keys become environment variables.")
    env: list[EnvVar] = Field([], description="Additional environment variables.")
    labels: Text = Field({}, description="Labels of the Jobs and Pods.")
    volumes: list[Volume] = []
    volume_mounts: list[VolumeMount] = []
    resources: ResourceRequirements = Field(
        {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        description="Resources of the pod of a run, if its schedule group sets none.",
    )
    node_selector: Text = {}
    affinity: Affinity = {}
    tolerations: list[Toleration] = []
    priority_class_name: str = ""
    scheduler_name: str = ""
    fail_pod_on_run_failure: bool = Field(default=True, description="Whether the Job of a failed run fails, too.")
    run_k8s_config: RunK8sConfig = Field(RunK8sConfig(), alias="runK8sConfig")


class RunLauncherConfig(Model):
    """The settings of the launcher, at the place that the official chart uses."""

    k8s_run_launcher: K8sRunLauncher = Field(K8sRunLauncher(), alias="k8sRunLauncher")


class RunLauncher(Model):
    """The run launcher."""

    type: Literal["K8sRunLauncher"] = "K8sRunLauncher"
    config: RunLauncherConfig = RunLauncherConfig()


class S3ComputeLogManager(Model):
    """Run logs in S3."""

    bucket: str = Field("", description="The bucket; default: that of `s3`.")
    prefix: str = Field("dagster-logs", description="The prefix of the keys.")
    use_ssl: bool = True
    verify: bool = True
    verify_cert_path: str = Field("", description="The file of your own CA certificate.")
    skip_empty_files: bool = True
    upload_interval: int = Field(
        30, ge=0, description="Seconds between uploads of the log of a running step; 0 uploads only at its end."
    )
    upload_extra_args: dict[str, Any] = Field(
        {}, description="Additional upload arguments, for example `ServerSideEncryption: AES256`."
    )
    show_url_only: bool = False


class ComputeLogConfig(Model):
    """The settings, at the place that the official chart uses."""

    s3_compute_log_manager: S3ComputeLogManager = Field(S3ComputeLogManager(), alias="s3ComputeLogManager")


class ComputeLogManager(Model):
    """Where run logs are stored."""

    type: Literal["S3ComputeLogManager", "NoOpComputeLogManager"] = "S3ComputeLogManager"
    config: ComputeLogConfig = ComputeLogConfig()


class Postgresql(Placement):
    """PostgreSQL for Dagster's storage and, by default, for the warehouse."""

    enabled: bool = Field(default=True, description="Whether to start a PostgreSQL server, for trials only.")
    image: Image = Image(repository="postgres", tag="17-alpine")
    postgresql_host: str = Field("", description="The host of your own server, if `enabled` is false.")
    postgresql_username: str = "dagster"
    postgresql_database: str = "dagster"
    postgresql_params: Text = Field({}, description="Connection parameters, for example `sslmode: verify-full`.")
    existing_secret: str = Field(
        "", description="The Secret with the password; default: generated once for the bundled server."
    )
    existing_secret_password_key: str = "postgresql-password"  # noqa: S105 - the name of a key
    service: PortOnly = PortOnly(port=5432)
    persistence: Persistence = Persistence()
    pod_security_context: PodSecurityContext = Field(
        {
            "runAsNonRoot": True,
            "runAsUser": 70,
            "runAsGroup": 70,
            "fsGroup": 70,
            # Kubernetes would make the data folder group-writable at each start, and PostgreSQL rejects that.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        description="The ids are those of the user `postgres` in the image.",
    )
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}


class S3(Placement):
    """S3 for logs, landing zone, reports and exports."""

    enabled: bool = Field(default=True, description="Whether to start a SeaweedFS server, for trials only.")
    image: Image = Image(repository="chrislusf/seaweedfs", tag="4.48")
    endpoint_url: str = Field("", description="The address of your own server; default: AWS.")
    region: str = "us-east-1"
    bucket: str = Field("analytics", description="The bucket; the bundled server creates it.")
    authentication: Literal["keys", "workloadIdentity"] = Field(
        "keys", description="`workloadIdentity` needs no keys: annotate the service accounts `webserver` and `code`."
    )
    existing_secret: str = Field(
        "", description="The Secret with the keys; default: generated once for the bundled server."
    )
    access_key_id_key: str = "access-key-id"
    secret_access_key_key: str = "secret-access-key"  # noqa: S105 - the name of a key
    service: PortOnly = PortOnly(port=8333)
    persistence: Persistence = Persistence()
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}


class GeneratedSecrets(Placement):
    """The Job that generates the passwords of the bundled servers once. It never changes an existing Secret."""

    enabled: bool = Field(
        default=True, description="Whether to generate passwords; if false, name a Secret for each one."
    )
    resources: ResourceRequirements = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}


class Migrate(Placement):
    """The Job that migrates Dagster's storage before an upgrade."""

    enabled: bool = True
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}


class AlertsWatch(Placement):
    """A CronJob that alerts if daemon, code location or queue have stopped (`analytics-dagster alerts watch`)."""

    enabled: bool = Field(default=False, description="Whether to create the CronJob.")
    schedule: str = Field("*/5 * * * *", pattern=r"^[^\s]+( [^\s]+){4}$", description="When it checks them.")
    tolerance: int = Field(300, ge=60, description="Seconds without a heartbeat before it alerts.")
    existing_secret: str = Field(
        "", description="The Secret with the variables of the alert channels: `ANALYTICS_SLACK_TOKEN`, …"
    )
    env: list[EnvVar] = Field([], description="Additional environment variables.")
    resources: ResourceRequirements = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}


class IngressTls(Model):
    """TLS of the ingress."""

    enabled: bool = False
    secret_name: str = Field("", description="The Secret with the certificate.")


class IngressHost(Model):
    """One host of the ingress."""

    host: str = ""
    path: str = Field("", description="The path; default: `pathPrefix` of the web server, or `/`.")
    path_type: Literal["Prefix", "Exact", "ImplementationSpecific"] = "Prefix"
    tls: IngressTls = IngressTls()


class Ingress(Model):
    """The ingress for the UI."""

    enabled: bool = False
    annotations: Text = {}
    labels: Text = {}
    ingress_class_name: str = ""
    dagster_webserver: IngressHost = IngressHost()
    read_only_dagster_webserver: IngressHost = IngressHost()


class NetworkPolicies(Model):
    """Network policies that allow only the connections that are needed."""

    enabled: bool = True
    webserver_from: list[Peer] = Field(
        [], description="Who can connect to the UI; default: everybody who can reach the pod."
    )


class ServiceMonitor(Model):
    """A ServiceMonitor for the Prometheus operator."""

    enabled: bool = False
    labels: Text = {}
    interval: str = "60s"
    path: str = "/metrics"


class Tests(Placement):
    """`helm test`: launches a real run through GraphQL and waits for its end."""

    enabled: bool = True
    location: str = Field("", description="The code location; default: the first.")
    job: str = Field("ingestion", description="The job.")
    asset_selection: list[str] = Field([], description="Assets of the job, for example `marts/orders`; default: all.")
    timeout_seconds: int = Field(900, ge=1)
    resources: ResourceRequirements = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}


class PurgeAfterDays(Model):
    """After how many days ticks are deleted, by result; -1 means never."""

    failure: int = 30
    skipped: int = 7
    started: int = -1
    success: int = 90


class TickRetention(Model):
    """How long ticks are kept."""

    purge_after_days: PurgeAfterDays = PurgeAfterDays()


class Retention(Model):
    """Which ticks are deleted, and when."""

    enabled: bool = True
    schedule: TickRetention = TickRetention(purge_after_days=PurgeAfterDays(skipped=90, failure=90))
    sensor: TickRetention = TickRetention()


class Telemetry(Model):
    """Whether Dagster sends usage statistics to Dagster Labs."""

    enabled: bool = False


class Values(Model):
    """The values of the chart."""

    name_override: str = ""
    fullname_override: str = ""
    common_labels: Text = Field({}, description="Labels of all objects.")
    global_: Global = Field(Global(), alias="global")
    image: Image = Field(
        Image(repository="analytics-dagster"),
        description="The image of all pods except the bundled servers; default tag: the app version of the chart.",
    )
    image_pull_secrets: list[ImagePullSecret] = []
    rbac_enabled: bool = Field(default=True, description="Whether to create Roles and RoleBindings.")
    service_accounts: ServiceAccounts = ServiceAccounts()
    pod_security_context: PodSecurityContext = Field(
        {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        description="Default for every pod; the ids are those of the user in the image.",
    )
    security_context: SecurityContext = Field(
        {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        description="Default for every container.",
    )
    analytics: Analytics = Analytics()
    warehouse: Warehouse = Warehouse()
    dagster_webserver: Webserver = Webserver()
    dagster_daemon: Daemon = Daemon()
    user_deployments: UserDeployments = Field(UserDeployments(), alias="dagster-user-deployments")
    run_launcher: RunLauncher = RunLauncher()
    compute_log_manager: ComputeLogManager = ComputeLogManager()
    postgresql: Postgresql = Postgresql()
    s3: S3 = Field(S3(), alias="s3")
    generated_secrets: GeneratedSecrets = GeneratedSecrets()
    migrate: Migrate = Migrate()
    alerts_watch: AlertsWatch = AlertsWatch()
    ingress: Ingress = Ingress()
    network_policies: NetworkPolicies = NetworkPolicies()
    service_monitor: ServiceMonitor = ServiceMonitor()
    tests: Tests = Tests()
    retention: Retention = Retention()
    telemetry: Telemetry = Telemetry()
    additional_instance_config: dict[str, Any] = Field({}, description="Additional keys of `dagster.yaml`.")
    extra_manifests: list[dict[str, Any]] = Field(
        [], description="Additional manifests; templates in them are rendered."
    )

"""The values of the Helm chart as typed models, from which `values.yaml`, its JSON schema and its table are made.

Names are those of the official Dagster chart where they mean the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

DEFINITIONS = "#/definitions/"
"""Where the schema holds what is used in several places."""

DEFINED_BY = "x-defined-by"
"""Stands for `$ref` in the models: pydantic wants to resolve those itself."""

_CORE = f"{DEFINITIONS}io.k8s.api.core.v1."

# What Kubernetes defines is checked as Kubernetes defines it.
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
"""The content of the schedule groups' file, as the package itself checks it."""

AlertRoutes = Annotated[dict[str, Any], WithJsonSchema({DEFINED_BY: f"{DEFINITIONS}AlertRoutesFile"})]
"""The content of the routes' file, likewise."""

Text = dict[str, str]
Port = Annotated[int, Field(ge=1, le=65535)]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)]
PathPrefix = Annotated[str, Field(pattern=r"^(/[^/ ]+)*$")]


class Model(BaseModel):
    """A part of the values; a key that it does not know is refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Global(Model):
    """What is shared with the charts beside this one."""

    model_config = ConfigDict(extra="allow")

    dagster_home: str = Field("/opt/dagster/dagster_home", description="`DAGSTER_HOME` in every container.")


class Image(Model):
    """An image."""

    repository: str = Field("", description="Its name, with the registry's where it is not the cluster's default.")
    tag: str = Field("", description="Its tag.")
    digest: str = Field("", description="Its digest (`sha256:…`), which wins over the tag.")
    pull_policy: PullPolicy = Field("IfNotPresent", description="When the node pulls it.")


class LocationImage(Image):
    """The image of one code location."""

    pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""  # type: ignore[assignment] # the chart's


class ImagePullSecret(Model):
    """A Secret with a registry's credentials."""

    name: str


class ServiceAccount(Model):
    """A service account."""

    create: bool = Field(default=True, description="Whether the chart makes it.")
    name: str = Field("", description="Its name; made from the release's name otherwise.")
    annotations: Text = Field({}, description="Its annotations: what IRSA and other workload identities go by.")


class ServiceAccounts(Model):
    """The service accounts, one for each set of rights."""

    webserver: ServiceAccount = Field(
        ServiceAccount(), description="Of the web server, which cancels runs: it deletes Jobs and Pods."
    )
    daemon: ServiceAccount = Field(
        ServiceAccount(), description="Of the daemon, which launches runs and watches them: Jobs, Pods, their logs."
    )
    code: ServiceAccount = Field(
        ServiceAccount(), description="Of code locations and runs, which have no rights in Kubernetes at all."
    )


class Analytics(Model):
    """The settings of this project's own code location; each becomes an environment variable."""

    environment: Literal["staging", "prod"] = Field(
        "prod", description="`ANALYTICS_ENVIRONMENT`: schedules and sensors start turned on in `prod` alone."
    )
    time_zone: str = Field("UTC", description="The IANA time zone of all schedules that name none of their own.")
    landing_url: str = Field("", description="Where raw files arrive; `landing` in the bucket of `s3` otherwise.")
    outbound_url: str = Field("", description="Where exports go; `outbound` in the bucket of `s3` otherwise.")
    reports_url: str = Field("", description="Where reports go; `reports` in the bucket of `s3` otherwise.")
    reports_web_url: str = Field("", description="The address at which a browser finds the reports, for links to them.")
    webserver_url: str = Field("", description="The UI's address, for links in messages; the ingress's otherwise.")
    schedule_groups: ScheduleGroups = Field(
        {}, description="Which node runs when, and what its pod gets; the groups in the image otherwise."
    )
    alert_routes: AlertRoutes = Field({}, description="Who hears of what; the routes in the image otherwise.")
    settings: Text = Field({}, description="Any other `ANALYTICS_*` variable that holds no secret, by name.")


class Profile(Model):
    """A dbt profile of the team's own."""

    existing_secret: str = Field("", description="The Secret that holds it, mounted at `/secrets`.")
    existing_secret_key: str = Field("profiles.yml", description="The Secret's key that holds it.")


class WarehousePostgresql(Model):
    """A PostgreSQL server that dbt builds in."""

    host: str = Field("", description="Its host; the server of `postgresql` otherwise.")
    port: Port = 5432
    username: str = Field("", description="The user that dbt builds as; that of `postgresql` otherwise.")
    database: Identifier = Field(
        "warehouse", description="The database; the bundled server makes it as it starts first."
    )
    schema_: str = Field("analytics", alias="schema", description="The schema, or the prefix of the schemas.")
    threads: int = Field(4, ge=1, description="How many models dbt builds at once.")
    existing_secret: str = Field("", description="The Secret with the password; that of `postgresql` otherwise.")
    existing_secret_password_key: str = "password"  # noqa: S105 - the name of a key


class Warehouse(Model):
    """Where dbt builds."""

    type: Literal["postgresql", "profile"] = Field(
        "postgresql", description="`postgresql`, by the profile in the image; or any other, by a `profile` of your own."
    )
    target: str = Field("prod", description="The profile's target.")
    writers: int | None = Field(
        None, ge=1, description="How many runs may write at once; what the target takes otherwise."
    )
    postgresql: WarehousePostgresql = WarehousePostgresql()
    profile: Profile = Profile()


class Persistence(Model):
    """The volume of a bundled server."""

    enabled: bool = Field(default=True, description="Whether its data outlive its pod.")
    size: Quantity = "8Gi"
    storage_class: str = Field("", description="The storage class; the cluster's default otherwise.")


class Service(Model):
    """A Service."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    port: Port = 80
    annotations: Text = {}


class PortOnly(Model):
    """The port of a Service inside the cluster."""

    port: Port


class Placement(Model):
    """Where pods run and how they look."""

    annotations: Text = Field({}, description="Annotations of the pods.")
    labels: Text = Field({}, description="Labels of the pods.")
    node_selector: Text = {}
    affinity: Affinity = {}
    tolerations: list[Toleration] = []
    topology_spread_constraints: list[TopologySpreadConstraint] = Field(
        [], description="How replicas are spread; over nodes where possible otherwise."
    )
    priority_class_name: str = ""
    scheduler_name: str = ""
    pod_security_context: PodSecurityContext = Field({}, description="In place of the chart's own.")
    security_context: SecurityContext = Field({}, description="In place of the chart's own.")
    resources: ResourceRequirements = {}


class Pod(Placement):
    """Pods of the chart's own image."""

    env: list[EnvVar] = Field([], description="Environment variables beside those that the chart sets.")
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
        80, ge=1, description="Of the requested CPU.", alias="targetCPUUtilizationPercentage"
    )


class DisruptionBudget(Model):
    """A PodDisruptionBudget, where there is more than one replica: one of a single pod would only stop drains."""

    enabled: bool = True
    max_unavailable: int | Annotated[str, Field(pattern="^[0-9]+%$")] = 1


class Webserver(Pod):
    """The web server: UI and GraphQL."""

    replica_count: int = Field(1, ge=0)
    autoscaling: Autoscaling = Autoscaling()
    pod_disruption_budget: DisruptionBudget = DisruptionBudget()
    service: Service = Service()
    path_prefix: PathPrefix = Field("", description="The path under which the UI is served: `/dagster`.")
    enable_read_only: bool = Field(default=False, description="Whether a second one is served that changes nothing.")
    db_statement_timeout: int = Field(15000, ge=0, description="Milliseconds after which a query is given up.")
    log_level: Literal["critical", "error", "warning", "info", "debug"] = "warning"
    log_format: Literal["colored", "json", "rich"] = "colored"
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}
    liveness_probe: Probe = {"periodSeconds": 20, "timeoutSeconds": 5, "failureThreshold": 3}
    readiness_probe: Probe = {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3}
    startup_probe: Probe = {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 36}


class TagLimit(Model):
    """How many runs with a tag run at once."""

    key: str
    value: str | dict[Literal["applyLimitPerUniqueValue"], bool] | None = None
    limit: int


class QueuedRunCoordinator(Model):
    """The queue."""

    max_concurrent_runs: int = Field(10, ge=-1, description="How many runs run at once; -1 is any number.")
    tag_concurrency_limits: list[TagLimit] = Field(
        [TagLimit(key="analytics_dagster/schedule_group", value={"applyLimitPerUniqueValue": True}, limit=1)],
        description="Limits by tag: two runs of one schedule group queue up.",
    )
    dequeue_interval_seconds: int = Field(5, ge=1)
    dequeue_use_threads: bool = True
    dequeue_num_workers: int = Field(4, ge=1)


class RunCoordinatorConfig(Model):
    """The queue's settings, where the official chart has them."""

    queued_run_coordinator: QueuedRunCoordinator = QueuedRunCoordinator()


class RunCoordinator(Model):
    """How runs are queued."""

    type: Literal["QueuedRunCoordinator"] = "QueuedRunCoordinator"
    config: RunCoordinatorConfig = RunCoordinatorConfig()


class RunMonitoring(Model):
    """Whether and how runs are watched whose pod may be gone."""

    enabled: bool = True
    start_timeout_seconds: int = Field(600, ge=0, description="How long a pod may take to start.")
    cancel_timeout_seconds: int = Field(300, ge=0, description="How long a run may take to end when cancelled.")
    max_resume_run_attempts: int = Field(
        0,
        ge=0,
        description="How often a lost pod's run is resumed. At 0 it fails, and is continued by a retry where its group "
        "has any.",
    )
    max_runtime_seconds: int = Field(0, ge=0, description="How long any run may take; 0 is for ever.")
    poll_interval_seconds: int = Field(30, ge=1)
    free_slots_after_run_end_seconds: int = Field(60, ge=0)


class RunRetries(Model):
    """Dagster's own retries, at once and whatever the failure was; those of schedule groups are made by a sensor."""

    enabled: bool = Field(default=True, description="Whether runs may ask for them, by the tag `dagster/max_retries`.")
    max_retries: int = Field(
        0, ge=0, description="For runs that say nothing themselves: other jobs, and what is materialized in the UI."
    )
    retry_on_asset_or_op_failure: bool = Field(
        default=True, description="Whether also where a step has failed, and not only the run's pod."
    )


class Threads(Model):
    """How many ticks are evaluated at once."""

    use_threads: bool = True
    num_workers: int = Field(4, ge=1)


class Daemon(Pod):
    """The daemon: schedules, sensors, the queue, the watch over runs. There is one, and never two."""

    run_coordinator: RunCoordinator = RunCoordinator()
    run_monitoring: RunMonitoring = RunMonitoring()
    run_retries: RunRetries = RunRetries()
    sensors: Threads = Threads()
    schedules: Threads = Threads()
    heartbeat_tolerance: int = Field(1800, ge=60, description="Seconds without a heartbeat until it is restarted.")
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}
    # Each check is a Python process that imports Dagster: seldom, and with time.
    liveness_probe: Probe = {"periodSeconds": 60, "timeoutSeconds": 30, "failureThreshold": 3}
    startup_probe: Probe = {"periodSeconds": 15, "timeoutSeconds": 30, "failureThreshold": 20}


class IncludeConfig(Model):
    """Whether runs get what the code location gets."""

    enabled: bool = True


class Deployment(Pod):
    """A code location."""

    name: Name = Field(description="Its name in the UI, in the Service and in the Deployment.")
    image: LocationImage = Field(
        LocationImage(), description="Its image, where it is not the chart's; unset fields are the chart's."
    )
    dagster_api_grpc_args: list[str] = Field(
        ["--module-name", "analytics_dagster.definitions"], description="What `dagster api grpc` loads."
    )
    port: Port = 3030
    include_config_in_launched_runs: IncludeConfig = Field(
        IncludeConfig(), description="Whether its runs get its `env…` and volumes too."
    )
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}
    liveness_probe: Probe = {"periodSeconds": 20, "timeoutSeconds": 5, "failureThreshold": 6}
    readiness_probe: Probe = {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3}
    startup_probe: Probe = {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 60}


class UserDeployments(Model):
    """The code locations."""

    enabled: bool = True
    deployments: list[Deployment] = Field(
        [Deployment(name="analytics-dagster")], description="One item for each; a list of yours replaces this one."
    )


class RunK8sConfig(Model):
    """What every run's Job gets, in Kubernetes' own words."""

    container_config: dict[str, Any] = {}
    pod_template_spec_metadata: dict[str, Any] = {
        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    }
    pod_spec_config: dict[str, Any] = {"terminationGracePeriodSeconds": 120}
    job_metadata: dict[str, Any] = {}
    job_spec_config: dict[str, Any] = {"ttlSecondsAfterFinished": 86400}


class K8sRunLauncher(Model):
    """How a run becomes a Job."""

    env_config_maps: list[str] = Field([], description="ConfigMaps whose keys become environment variables.")
    env_secrets: list[str] = Field([], description="Secrets whose keys become environment variables.")
    env: list[EnvVar] = Field([], description="Environment variables beside those that the chart sets.")
    labels: Text = Field({}, description="Labels of the Jobs and Pods.")
    volumes: list[Volume] = []
    volume_mounts: list[VolumeMount] = []
    resources: ResourceRequirements = Field(
        {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        description="What a run's pod gets where its schedule group says nothing.",
    )
    node_selector: Text = {}
    affinity: Affinity = {}
    tolerations: list[Toleration] = []
    priority_class_name: str = ""
    scheduler_name: str = ""
    fail_pod_on_run_failure: bool = Field(default=True, description="Whether a failed run is a failed Job too.")
    run_k8s_config: RunK8sConfig = Field(RunK8sConfig(), alias="runK8sConfig")


class RunLauncherConfig(Model):
    """The launcher's settings, where the official chart has them."""

    k8s_run_launcher: K8sRunLauncher = Field(K8sRunLauncher(), alias="k8sRunLauncher")


class RunLauncher(Model):
    """What starts runs."""

    type: Literal["K8sRunLauncher"] = "K8sRunLauncher"
    config: RunLauncherConfig = RunLauncherConfig()


class S3ComputeLogManager(Model):
    """The logs of runs, in S3."""

    bucket: str = Field("", description="The bucket; that of `s3` otherwise.")
    prefix: str = Field("dagster-logs", description="What the keys begin with.")
    use_ssl: bool = True
    verify: bool = True
    verify_cert_path: str = Field("", description="The file of a CA of your own.")
    skip_empty_files: bool = True
    upload_interval: int = Field(
        30, ge=0, description="Seconds between uploads of a running step's log; 0 is at its end."
    )
    upload_extra_args: dict[str, Any] = Field({}, description="Further arguments: `ServerSideEncryption: AES256`.")
    show_url_only: bool = False


class ComputeLogConfig(Model):
    """The settings, where the official chart has them."""

    s3_compute_log_manager: S3ComputeLogManager = Field(S3ComputeLogManager(), alias="s3ComputeLogManager")


class ComputeLogManager(Model):
    """Where the logs of runs are kept."""

    type: Literal["S3ComputeLogManager", "NoOpComputeLogManager"] = "S3ComputeLogManager"
    config: ComputeLogConfig = ComputeLogConfig()


class Postgresql(Placement):
    """PostgreSQL for Dagster's storage (and, unless another is named, for the warehouse)."""

    enabled: bool = Field(
        default=True, description="Whether a server is started, for trials; bring your own otherwise."
    )
    image: Image = Image(repository="postgres", tag="17-alpine")
    postgresql_host: str = Field("", description="The host of your own server.")
    postgresql_username: str = "dagster"
    postgresql_database: str = "dagster"
    postgresql_params: Text = Field({}, description="Parameters of the connection: `sslmode: verify-full`.")
    existing_secret: str = Field("", description="The Secret with the password; made once where it is not given.")
    existing_secret_password_key: str = "postgresql-password"  # noqa: S105 - the name of a key
    service: PortOnly = PortOnly(port=5432)
    persistence: Persistence = Persistence()
    pod_security_context: PodSecurityContext = Field(
        {
            "runAsNonRoot": True,
            "runAsUser": 70,
            "runAsGroup": 70,
            "fsGroup": 70,
            # Kubernetes would open the data folder to the group at each start, and PostgreSQL refuses one that is.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        description="The ids are those of the user `postgres` in the image.",
    )
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}


class S3(Placement):
    """S3 for logs, the landing zone, reports and exports."""

    enabled: bool = Field(
        default=True, description="Whether SeaweedFS is started, for trials; bring your own otherwise."
    )
    image: Image = Image(repository="chrislusf/seaweedfs", tag="4.48")
    endpoint_url: str = Field("", description="The address of your own server; that of AWS otherwise.")
    region: str = "us-east-1"
    bucket: str = Field("analytics", description="The bucket; the bundled server makes it as it starts.")
    authentication: Literal["keys", "workloadIdentity"] = Field(
        "keys", description="`workloadIdentity` takes no keys: annotate the service accounts `webserver` and `code`."
    )
    existing_secret: str = Field("", description="The Secret with the keys; made once for the bundled server.")
    access_key_id_key: str = "access-key-id"
    secret_access_key_key: str = "secret-access-key"  # noqa: S105 - the name of a key
    service: PortOnly = PortOnly(port=8333)
    persistence: Persistence = Persistence()
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}


class GeneratedSecrets(Placement):
    """The Job that makes the passwords of the bundled servers once, and keeps those that are there."""

    enabled: bool = Field(default=True, description="Whether it does; every password is to be given otherwise.")
    resources: ResourceRequirements = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}


class Migrate(Placement):
    """The Job that brings Dagster's storage to the new version before an upgrade."""

    enabled: bool = True
    resources: ResourceRequirements = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}


class AlertsWatch(Placement):
    """A CronJob that tells people of a daemon which is silent (`analytics-dagster alerts watch`)."""

    enabled: bool = Field(default=False, description="Whether it is made.")
    schedule: str = Field("*/5 * * * *", pattern=r"^[^\s]+( [^\s]+){4}$", description="When it looks.")
    tolerance: int = Field(300, ge=60, description="Seconds without a heartbeat after which the daemon is silent.")
    existing_secret: str = Field(
        "", description="The Secret whose keys are the variables of channels: `ANALYTICS_SLACK_TOKEN`, …"
    )
    env: list[EnvVar] = Field([], description="Environment variables beside those that the chart sets.")
    resources: ResourceRequirements = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}


class IngressTls(Model):
    """TLS of the ingress."""

    enabled: bool = False
    secret_name: str = Field("", description="The Secret with the certificate.")


class IngressHost(Model):
    """One host of the ingress."""

    host: str = ""
    path: str = Field("", description="The path; the web server's `pathPrefix`, or `/`, otherwise.")
    path_type: Literal["Prefix", "Exact", "ImplementationSpecific"] = "Prefix"
    tls: IngressTls = IngressTls()


class Ingress(Model):
    """The way to the UI from outside."""

    enabled: bool = False
    annotations: Text = {}
    labels: Text = {}
    ingress_class_name: str = ""
    dagster_webserver: IngressHost = IngressHost()
    read_only_dagster_webserver: IngressHost = IngressHost()


class NetworkPolicies(Model):
    """Who may connect to whom: nobody but those who must."""

    enabled: bool = True
    webserver_from: list[Peer] = Field([], description="Who may open the UI; anybody who reaches the pod otherwise.")


class ServiceMonitor(Model):
    """A ServiceMonitor of the Prometheus operator."""

    enabled: bool = False
    labels: Text = {}
    interval: str = "60s"
    path: str = "/metrics"


class Tests(Placement):
    """What `helm test` does: it launches a real run through GraphQL and waits for it."""

    enabled: bool = True
    location: str = Field("", description="The code location; the first otherwise.")
    job: str = Field("ingestion", description="The job.")
    asset_selection: list[str] = Field([], description="Some of the job's assets (`marts/orders`); all otherwise.")
    timeout_seconds: int = Field(900, ge=1)
    resources: ResourceRequirements = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}


class PurgeAfterDays(Model):
    """After how many days what a tick came to is forgotten; -1 is never."""

    failure: int = 30
    skipped: int = 7
    started: int = -1
    success: int = 90


class TickRetention(Model):
    """How long ticks are kept."""

    purge_after_days: PurgeAfterDays = PurgeAfterDays()


class Retention(Model):
    """What is forgotten, and when."""

    enabled: bool = True
    schedule: TickRetention = TickRetention(purge_after_days=PurgeAfterDays(skipped=90, failure=90))
    sensor: TickRetention = TickRetention()


class Telemetry(Model):
    """Whether Dagster reports its usage to its makers."""

    enabled: bool = False


class Values(Model):
    """The values of the chart."""

    name_override: str = ""
    fullname_override: str = ""
    common_labels: Text = Field({}, description="Labels of everything.")
    global_: Global = Field(Global(), alias="global")
    image: Image = Field(
        Image(repository="analytics-dagster"),
        description="The one image of web server, daemon, code location and runs; its tag is the chart's app version.",
    )
    image_pull_secrets: list[ImagePullSecret] = []
    rbac_enabled: bool = Field(default=True, description="Whether Roles and RoleBindings are made.")
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
        description="Of every pod that has none of its own; the ids are those of the image's user.",
    )
    security_context: SecurityContext = Field(
        {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        description="Of every container that has none of its own.",
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
    additional_instance_config: dict[str, Any] = Field({}, description="Further keys of `dagster.yaml`.")
    extra_manifests: list[dict[str, Any]] = Field([], description="Further manifests; templates in them are rendered.")
